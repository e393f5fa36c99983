-- The event table that people make for themselves.
CREATE TABLE diy_events (
	stream text NOT NULL,
	version bigint NOT NULL,
	event_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
	type text NOT NULL,
	data jsonb NOT NULL,
	metadata jsonb NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(),
	position bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
	PRIMARY KEY (stream, version)
);
