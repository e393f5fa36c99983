/*-------------------------------------------------------------------------
 *
 * uri.h
 *	  URIs as far as schemas need them: resolving references.
 *
 * Copyright (c) 2026, event_store contributors
 *
 *-------------------------------------------------------------------------
 */
#ifndef ES_JSONSCHEMA_URI_H
#define ES_JSONSCHEMA_URI_H

/*
 * Resolves a reference against a base, as RFC 3986 says (5.2).
 *
 * The result has no fragment; what stands behind the "#" of the reference is
 * put into *fragment, percent-decoded, or NULL if there is no "#".  A base
 * without a scheme will do: it is what a document without "$id" has.
 */
extern char *es_json_uri_resolve(const char *base, const char *reference,
								 char **fragment);

#endif							/* ES_JSONSCHEMA_URI_H */
