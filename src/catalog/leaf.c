/*-------------------------------------------------------------------------
 *
 * leaf.c
 *	  Leaf pages of our B-trees: the newest entries of a stream, and runs of
 *	  new entries.
 *
 * Copyright (c) 2026, event_store contributors
 *
 * NOTES
 *	  An append looks for the end of its stream in the primary key, and then
 *	  inserts there, and at the right end of the two other indexes.  nbtree
 *	  would go down the primary key twice for that, once more for each further
 *	  event of a batch, and write a WAL record for each entry.  Here pages are used
 *	  where they were last, and a run of entries of one page goes into it at
 *	  once.  We do what is simple and frequent.  Splits, deduplication, deletion
 *	  of dead entries, duplicates, locks of waiting for another transaction:
 *	  all that stays nbtree's, by index_insert() and index scans.
 *
 *	  Why a remembered page may be used.  The leaves of a tree divide the space
 *	  of keys between them: a page's part begins behind its left neighbour's
 *	  high key and ends with its own, if it has one.  When we hold the lock on
 *	  a page that is a live leaf of the index, has an item less than the key,
 *	  and a high key or an item that is greater, or is the rightmost, then the
 *	  key belongs there, however we came to the page.  nbtree relies on the same
 *	  for the rightmost leaf that it remembers.  Whether the block is still a
 *	  page of the index, and still in the buffer where it was, says
 *	  ReadRecentBuffer(): it compares the buffer's tag with the relation's file.
 *	  When something else was made of the page (it was split, or deleted and
 *	  used again elsewhere in the tree) what we find does not enclose the key,
 *	  or it does, and then it is right.  Otherwise we go down the tree, by
 *	  _bt_search().
 *
 *	  Why a unique key is safe.  We insert between neighbours that are, in their
 *	  key columns, truly less and truly greater, and the lock on the page is
 *	  held from the look at them to the end of the insertion.  An equal entry
 *	  could be nowhere else than between them.  Without an equal entry that is
 *	  the whole check of nbtree, which locks the first page where an equal key could be; whoever
 *	  inserts the same key at the same time needs the lock on the same page, and
 *	  finds our entry.  So nothing depends on the lock on the stream.  Where there
 *	  is an equal entry, dead or alive, or the high key is equal so that there
 *	  may be some on the next page, index_insert() decides.  In an index that
 *	  is not unique equal entries are in the order of the rows' places; there
 *	  too none of ours is equal to any.
 *
 *	  Readers.  Whatever we do to a page is done under its exclusive lock.  A
 *	  scan that has read a page and gave the lock back does not mind new
 *	  entries on it.  VACUUM removes entries under a cleanup lock; the look-up
 *	  keeps its pin until it has fetched the rows, as nbtree does for a snapshot
 *	  that is none of MVCC: no place of a row is used again before that.
 *
 *	  SERIALIZABLE.  Reading with SnapshotSelf takes no predicate locks, in
 *	  nbtree neither.  Inserting asks for those on the page, once for all
 *	  entries of a run.
 *
 *	  WAL.  An entry by itself is logged as nbtree does it.  A run is logged by
 *	  one generic record (access/generic_xlog.h), of which we write the delta
 *	  ourselves, as we know what has changed: the two offsets in the page's
 *	  header, the line pointers from the first new one on, and the new tuples.
 *	  Replay needs no library of ours.  It makes the page what it was here,
 *	  except for what nbtree changes without telling: LP_DEAD of items, which a
 *	  standby ignores, and in the special space the flags that there are such
 *	  items and where a split ended, and the number of the VACUUM that was at
 *	  work then.  A record that brings a full image of the page tells them too,
 *	  and so they are harmless.  But wal_consistency_checking masks them only
 *	  for records of nbtree's.  So ours tells the special space, and is not
 *	  written where items are LP_DEAD.
 *
 *	  Crash.  The page is changed in a critical section that ends with the
 *	  record's LSN on the page, so that the record reaches the disk before it.
 *	  A run is on the page, or it is not: its rows are invisible in either case
 *	  unless the transaction committed, and then its record is older than the
 *	  commit's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/nbtxlog.h"
#include "access/rmgr.h"
#include "access/tupmacs.h"
#include "access/xloginsert.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/predicate.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "catalog/leaf.h"
#include "core/compat.h"

#define MAX_PARTS	3

/*
 * Bytes of a record of one entry besides the entry, and of a generic record
 * besides the line pointers and entries.
 */
#define SINGLE_OVERHEAD		50
#define RUN_OVERHEAD		86

/* Of so many uses of remembered pages one counts for the buffer manager. */
#define COUNTED_USE			8

/*
 * How the columns of an index are compared.
 */
typedef enum PartKind
{
	PART_TEXT,					/* by bytes */
	PART_UUID,
	PART_INT8,
	PART_INT4
} PartKind;

/*
 * What there is to know about an index.
 */
typedef struct Shape
{
	int			nparts;
	PartKind	kinds[MAX_PARTS];
	bool		allequalimage;
} Shape;

/*
 * A key to be compared with index tuples; it points into somebody's memory.
 */
typedef struct LeafKey
{
	const Shape *shape;
	int			nparts;			/* may be fewer than the index has */
	bool		after;			/* greater than all that begin with it */
	bool		confused;		/* compared with what we cannot read */
	struct
	{
		const char *data;		/* text and uuid */
		int			len;
		int64		number;
	}			parts[MAX_PARTS];
} LeafKey;

/*
 * Answers of find_room()
 */
typedef enum Place
{
	PLACE_HERE,					/* the tuple can be inserted */
	PLACE_ELSEWHERE,			/* not on this page, as far as we see */
	PLACE_UNCLEAR				/* nbtree must insert it */
} Place;

/*
 * Looks at the definition of an index; returns whether we can compare its
 * keys, and its entries are in the order of keys and places of rows.
 */
static bool
get_shape(Relation index, Shape *shape)
{
	bool		heapkeyspace;
	int			i;

	shape->nparts = IndexRelationGetNumberOfKeyAttributes(index);
	if (index->rd_rel->relam != BTREE_AM_OID || shape->nparts > MAX_PARTS ||
		IndexRelationGetNumberOfAttributes(index) != shape->nparts)
		return false;

	for (i = 0; i < shape->nparts; i++)
	{
		if (index->rd_indoption[i] != 0)
			return false;
		switch (index_getprocid(index, i + 1, BTORDER_PROC))
		{
			case F_BTTEXTCMP:
				if (index->rd_indcollation[i] != C_COLLATION_OID)
					return false;
				shape->kinds[i] = PART_TEXT;
				break;
			case F_UUID_CMP:
				shape->kinds[i] = PART_UUID;
				break;
			case F_BTINT8CMP:
				shape->kinds[i] = PART_INT8;
				break;
			case F_BTINT4CMP:
				shape->kinds[i] = PART_INT4;
				break;
			default:
				return false;
		}
	}
	_bt_metaversion(index, &heapkeyspace, &shape->allequalimage);
	return heapkeyspace;
}

/*
 * Compares bytes as a text of collation C is compared.
 */
static inline int
compare_bytes(const char *a, int a_len, const char *b, int b_len)
{
	int			result = memcmp(a, b, Min(a_len, b_len));

	return result != 0 ? result : a_len - b_len;
}

/*
 * Compares a text with one of an index tuple, and moves *at behind that.
 */
static inline int
compare_text(const char *data, int len, char **at)
{
	struct varlena *value;
	int			result;

	*at = (char *) att_align_pointer(*at, TYPALIGN_INT, -1, *at);
	value = (struct varlena *) *at;
	*at += VARSIZE_ANY(value);
	if (likely(!VARATT_IS_EXTENDED(value) || VARATT_IS_SHORT(value)))
		return compare_bytes(data, len, VARDATA_ANY(value),
							 VARSIZE_ANY_EXHDR(value));

	/* long names may be compressed */
	value = pg_detoast_datum(value);
	result = compare_bytes(data, len, VARDATA(value), VARSIZE(value) - VARHDRSZ);
	pfree(value);
	return result;
}

/*
 * Compares a key with an index tuple: less than 0 if the key is less.
 *
 * Columns that a high key has lost are less than any value, as in nbtree.
 */
static int
compare(Relation index, LeafKey *key, IndexTuple tuple)
{
	int			natts = BTreeTupleGetNAtts(tuple, index);
	char	   *at = (char *) tuple + IndexInfoFindDataOffset(tuple->t_info);
	int64		number = 0;
	int			result = 0;
	int			i;

	if (unlikely(IndexTupleHasNulls(tuple)))
		key->confused = true;
	for (i = 0; i < key->nparts && !key->confused; i++)
	{
		if (i >= natts)
			return 1;
		switch (key->shape->kinds[i])
		{
			case PART_TEXT:
				result = compare_text(key->parts[i].data, key->parts[i].len,
									  &at);
				break;
			case PART_UUID:
				result = memcmp(key->parts[i].data, at, UUID_LEN);
				at += UUID_LEN;
				break;
			case PART_INT8:
				at = (char *) DOUBLEALIGN(at);
				number = *(int64 *) at;
				result = (key->parts[i].number > number) -
					(key->parts[i].number < number);
				at += sizeof(int64);
				break;
			case PART_INT4:
				at = (char *) INTALIGN(at);
				number = *(int32 *) at;
				result = (key->parts[i].number > number) -
					(key->parts[i].number < number);
				at += sizeof(int32);
				break;
		}
		if (result != 0)
			return result;
	}
	return key->after ? 1 : 0;
}

/*
 * Makes the key of a new index tuple; returns false when it has values that
 * are not to be read as they are.
 */
static bool
make_key(LeafKey *key, const Shape *shape, IndexTuple tuple)
{
	char	   *at = (char *) tuple + IndexInfoFindDataOffset(tuple->t_info);
	int			i;

	key->shape = shape;
	key->nparts = shape->nparts;
	key->after = false;
	key->confused = false;
	if (IndexTupleHasNulls(tuple))
		return false;
	for (i = 0; i < shape->nparts; i++)
		switch (shape->kinds[i])
		{
			case PART_TEXT:
				at = (char *) att_align_pointer(at, TYPALIGN_INT, -1, at);
				if (VARATT_IS_EXTENDED(at) && !VARATT_IS_SHORT(at))
					return false;
				key->parts[i].data = VARDATA_ANY(at);
				key->parts[i].len = VARSIZE_ANY_EXHDR(at);
				at += VARSIZE_ANY(at);
				break;
			case PART_UUID:
				key->parts[i].data = at;
				at += UUID_LEN;
				break;
			case PART_INT8:
				at = (char *) DOUBLEALIGN(at);
				key->parts[i].number = *(int64 *) at;
				at += sizeof(int64);
				break;
			case PART_INT4:
				at = (char *) INTALIGN(at);
				key->parts[i].number = *(int32 *) at;
				at += sizeof(int32);
				break;
		}
	return true;
}

static inline IndexTuple
item_at(Page page, OffsetNumber offset)
{
	return (IndexTuple) PageGetItem(page, PageGetItemId(page, offset));
}

/*
 * Returns the place of the first item of a leaf that is not less than the key:
 * one behind the last if there is none.
 */
static OffsetNumber
find_place(Relation index, Page page, LeafKey *key)
{
	BTPageOpaque opaque = BTPageGetOpaque(page);
	OffsetNumber low = P_FIRSTDATAKEY(opaque);
	OffsetNumber high = PageGetMaxOffsetNumber(page) + 1;

	/* The rightmost leaf is where new entries come behind all others. */
	if (P_RIGHTMOST(opaque) && low < high &&
		compare(index, key, item_at(page, high - 1)) > 0)
		return high;
	while (low < high)
	{
		OffsetNumber middle = low + (high - low) / 2;

		if (compare(index, key, item_at(page, middle)) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * Pins the page that was remembered; returns InvalidBuffer when it is not where
 * it was.
 *
 * ReadRecentBuffer() does not count as a use of the buffer, which could then be
 * the first to go when room is needed.  So we read it like anybody now and then.
 * That the block exists has been seen, and our lock on the index keeps it.
 */
static Buffer
pin_remembered(Relation index, const EsLeaf *leaf)
{
	static unsigned int uses = 0;

	if (!BufferIsValid(leaf->buffer) ||
		!read_recent_buffer_compat(index, leaf->block, leaf->buffer))
		return InvalidBuffer;
	if (++uses % COUNTED_USE != 0)
		return leaf->buffer;
	ReleaseBuffer(leaf->buffer);
	return ReadBuffer(index, leaf->block);
}

/*
 * Locks the page that was remembered; returns InvalidBuffer when it is not
 * where it was, or no live leaf any more.
 */
static Buffer
lock_remembered(Relation index, const EsLeaf *leaf, int access)
{
	Buffer		buffer = pin_remembered(index, leaf);
	Page		page;

	if (!BufferIsValid(buffer))
		return InvalidBuffer;

	_bt_lockbuf(index, buffer, access);
	page = BufferGetPage(buffer);
	if (!PageIsNew(page) &&
		PageGetSpecialSize(page) == MAXALIGN(sizeof(BTPageOpaqueData)))
	{
		BTPageOpaque opaque = BTPageGetOpaque(page);

		if (P_ISLEAF(opaque) && !P_IGNORE(opaque) && !P_ISMETA(opaque))
			return buffer;
	}
	_bt_relbuf(index, buffer);
	return InvalidBuffer;
}

static void
remember(EsLeaf *leaf, Buffer buffer)
{
	leaf->block = BufferGetBlockNumber(buffer);
	leaf->buffer = buffer;
}

/*
 * Is the key less than all that may be on pages to the right?
 */
static bool
is_below_end(Relation index, Page page, LeafKey *key)
{
	return P_RIGHTMOST(BTPageGetOpaque(page)) ||
		compare(index, key, item_at(page, P_HIKEY)) < 0;
}

/*
 * Collects the newest entries of a stream from a page; returns whether the page
 * tells which they are.
 */
static bool
collect(Relation index, Page page, LeafKey *key, EsLeafEntries *entries)
{
	BTPageOpaque opaque = BTPageGetOpaque(page);
	OffsetNumber first = P_FIRSTDATAKEY(opaque);
	OffsetNumber offset;

	entries->n = 0;
	entries->all = false;
	key->after = true;
	offset = find_place(index, page, key);
	if (offset > PageGetMaxOffsetNumber(page) &&
		!is_below_end(index, page, key))
		return false;

	key->after = false;
	while (--offset >= first && entries->n < ES_LEAF_ENTRIES)
	{
		ItemId		id = PageGetItemId(page, offset);
		IndexTuple	tuple = (IndexTuple) PageGetItem(page, id);

		if (compare(index, key, tuple) != 0)
		{
			entries->all = true;
			break;
		}
		if (ItemIdIsDead(id))
			continue;
		if (BTreeTupleIsPosting(tuple))
			break;
		entries->tids[entries->n++] = tuple->t_tid;
	}
	if (offset < first && P_LEFTMOST(opaque))
		entries->all = true;
	return !key->confused && (entries->n > 0 || entries->all);
}

/*
 * Goes down the tree to the leaf where the stream's events end.
 */
static Buffer
search_end(Relation events, Relation index, const LeafKey *key)
{
	BTScanInsert search = _bt_mkscankey(index, NULL);
	BTStack		stack;
	Buffer		buffer;
	int			i;

	search->heapkeyspace = true;
	search->allequalimage = key->shape->allequalimage;
	search->anynullkeys = false;
	search->nextkey = true;
	search->keysz = key->nparts;
	for (i = 0; i < key->nparts; i++)
	{
		search->scankeys[i].sk_flags = 0;
		search->scankeys[i].sk_argument =
			PointerGetDatum(cstring_to_text_with_len(key->parts[i].data,
													 key->parts[i].len));
	}
	stack = bt_search_compat(index, events, search, &buffer, BT_READ);
	_bt_freestack(stack);
	for (i = 0; i < key->nparts; i++)
		pfree(DatumGetPointer(search->scankeys[i].sk_argument));
	pfree(search);
	return buffer;
}

bool
es_leaf_find_newest(Relation events, Relation index,
					const char *tenant, int tenant_len,
					const char *stream, int stream_len,
					EsLeaf *leaf, EsLeafEntries *entries)
{
	Shape		shape;
	LeafKey		key;
	Buffer		buffer;

	if (!get_shape(index, &shape) || shape.nparts != MAX_PARTS ||
		shape.kinds[0] != PART_TEXT || shape.kinds[1] != PART_TEXT)
		return false;
	key.shape = &shape;
	key.nparts = 2;
	key.confused = false;
	key.parts[0].data = tenant;
	key.parts[0].len = tenant_len;
	key.parts[1].data = stream;
	key.parts[1].len = stream_len;

	buffer = lock_remembered(index, leaf, BT_READ);
	if (BufferIsValid(buffer) &&
		!collect(index, BufferGetPage(buffer), &key, entries))
	{
		_bt_relbuf(index, buffer);
		buffer = InvalidBuffer;
	}
	if (!BufferIsValid(buffer))
	{
		leaf->buffer = InvalidBuffer;
		buffer = search_end(events, index, &key);
		if (!BufferIsValid(buffer))
			return false;
		if (!collect(index, BufferGetPage(buffer), &key, entries))
		{
			_bt_relbuf(index, buffer);
			return false;
		}
	}
	pgstat_count_index_scan(index);
	pgstat_count_index_tuples(index, entries->n);
	remember(leaf, buffer);
	entries->buffer = buffer;
	_bt_unlockbuf(index, buffer);
	return true;
}

/*
 * Looks where on a page, exclusively locked, a key is to be inserted, that no
 * other key is equal to.
 *
 * reached says that the page was found by going down the tree for the key, so
 * that it does not belong to the left of it.  *bound is set to the item, or
 * high key, that it must be less than, or NULL.
 */
static Place
find_room(Relation index, Page page, LeafKey *key, bool reached,
		  OffsetNumber *place, IndexTuple *bound)
{
	BTPageOpaque opaque = BTPageGetOpaque(page);
	int			result;

	if (P_INCOMPLETE_SPLIT(opaque))
		return PLACE_UNCLEAR;

	*place = find_place(index, page, key);
	*bound = NULL;
	if (*place <= PageGetMaxOffsetNumber(page))
		*bound = item_at(page, *place);
	else if (!P_RIGHTMOST(opaque))
		*bound = item_at(page, P_HIKEY);

	result = *bound == NULL ? -1 : compare(index, key, *bound);
	if (key->confused || result == 0)
		return PLACE_UNCLEAR;
	if (result > 0 ||
		(!reached && *place == P_FIRSTDATAKEY(opaque) && !P_LEFTMOST(opaque)))
		return PLACE_ELSEWHERE;
	return PLACE_HERE;
}

/*
 * How many of the tuples come one after the other at a place, before the bound,
 * and fit on the page?  Sets *total to the space that they take, line pointers
 * apart.
 */
static int
measure_run(Relation index, Page page, const Shape *shape,
			IndexTuple bound, IndexTuple *tuples, int n, Size *total)
{
	Size		room = PageGetExactFreeSpace(page);
	Size		used = 0;
	LeafKey		key;
	int			count;

	for (count = 0; count < n; count++)
	{
		Size		size = MAXALIGN(IndexTupleSize(tuples[count]));

		/* a third of a page is too much: nbtree has the error for it */
		used += size + sizeof(ItemIdData);
		if (used > room || size > BLCKSZ / 4)
			break;
		if (count > 0 &&
			(!make_key(&key, shape, tuples[count]) ||
			 compare(index, &key, tuples[count - 1]) <= 0))
			break;
	}

	/* The first has been compared with it. */
	while (bound != NULL && count > 1)
	{
		(void) make_key(&key, shape, tuples[count - 1]);
		if (compare(index, &key, bound) < 0 && !key.confused)
			break;
		count--;
	}

	*total = 0;
	for (n = 0; n < count; n++)
		*total += MAXALIGN(IndexTupleSize(tuples[n]));
	return count;
}

/*
 * Inserts one tuple, as _bt_insertonpg() does.
 */
static void
insert_one(Relation index, Buffer buffer, OffsetNumber place, IndexTuple tuple)
{
	Page		page = BufferGetPage(buffer);
	Size		size = IndexTupleSize(tuple);
	xl_btree_insert record;
	XLogRecPtr	lsn;

	START_CRIT_SECTION();
	if (PageAddItem(page, (Item) tuple, MAXALIGN(size), place, false,
					false) == InvalidOffsetNumber)
		elog(PANIC, "failed to add new item to block %u in index \"%s\"",
			 BufferGetBlockNumber(buffer), RelationGetRelationName(index));
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(index))
	{
		record.offnum = place;
		XLogBeginInsert();
		XLogRegisterData((char *) &record, SizeOfBtreeInsert);
		XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
		XLogRegisterBufData(0, (char *) tuple, size);
		lsn = XLogInsert(RM_BTREE_ID, XLOG_BTREE_INSERT_LEAF);
		PageSetLSN(page, lsn);
	}
	END_CRIT_SECTION();
}

/*
 * Logs that n items were put on a page at a place: a generic record.
 *
 * Its data is a sequence of (offset, length, bytes).
 */
static void
log_run(Buffer buffer, OffsetNumber place, Size total)
{
	Page		page = BufferGetPage(buffer);
	PageHeader	header = (PageHeader) page;
	char	   *line = (char *) PageGetItemId(page, place);
	uint16		fragments[6];
	uint16		tuples[2];
	uint16		special[2];
	XLogRecPtr	lsn;

	StaticAssertStmt(offsetof(PageHeaderData, pd_upper) ==
					 offsetof(PageHeaderData, pd_lower) + sizeof(uint16) &&
					 sizeof(OffsetNumber) == sizeof(uint16),
					 "layout of pages or generic records");
	fragments[0] = offsetof(PageHeaderData, pd_lower);
	fragments[1] = 2 * sizeof(uint16);
	fragments[2] = header->pd_lower;
	fragments[3] = header->pd_upper;
	fragments[4] = line - (char *) page;
	fragments[5] = header->pd_lower - fragments[4];
	tuples[0] = header->pd_upper;
	tuples[1] = total;
	special[0] = header->pd_special;
	special[1] = PageGetSpecialSize(page);

	XLogBeginInsert();
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
	XLogRegisterBufData(0, (char *) fragments, sizeof(fragments));
	XLogRegisterBufData(0, line, fragments[5]);
	XLogRegisterBufData(0, (char *) tuples, sizeof(tuples));
	XLogRegisterBufData(0, (char *) page + header->pd_upper, total);
	XLogRegisterBufData(0, (char *) special, sizeof(special));
	XLogRegisterBufData(0, (char *) page + header->pd_special, special[1]);
	lsn = XLogInsert(RM_GENERIC_ID, 0);
	PageSetLSN(page, lsn);
}

/*
 * Inserts tuples that follow each other, and logs them by one record.
 */
static void
insert_run(Relation index, Buffer buffer, OffsetNumber place,
		   IndexTuple *tuples, int n, Size total)
{
	Page		page = BufferGetPage(buffer);
	PageHeader	header = (PageHeader) page;
	ItemId		line = PageGetItemId(page, place);
	int			i;

	START_CRIT_SECTION();
	memmove(line + n, line, (char *) page + header->pd_lower - (char *) line);
	for (i = 0; i < n; i++)
	{
		Size		size = MAXALIGN(IndexTupleSize(tuples[i]));

		header->pd_upper -= size;
		ItemIdSetNormal(line + i, header->pd_upper, size);
		memcpy((char *) page + header->pd_upper, tuples[i], size);
	}
	header->pd_lower += n * sizeof(ItemIdData);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(index))
		log_run(buffer, place, total);
	END_CRIT_SECTION();
}

/*
 * Is a generic record for n tuples allowed, and likely to be shorter than n of
 * nbtree's?
 */
static bool
is_run(Page page, OffsetNumber place, int n)
{
	PageHeader	header = (PageHeader) page;
	BTPageOpaque opaque = BTPageGetOpaque(page);
	OffsetNumber last = PageGetMaxOffsetNumber(page);
	OffsetNumber offset;

	if (n == 1 || !generic_delta_known_compat() ||
		RUN_OVERHEAD + (last + 1 - place + n) * (int) sizeof(ItemIdData) >=
		n * SINGLE_OVERHEAD)
		return false;

	/* PageAddItem() has what to say about a damaged page. */
	if (header->pd_lower < SizeOfPageHeaderData ||
		header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special)
		return false;

	/* The page's flag does not always tell. */
	for (offset = P_FIRSTDATAKEY(opaque); offset <= last; offset++)
		if (ItemIdIsDead(PageGetItemId(page, offset)))
			return false;
	return true;
}

/*
 * Inserts tuples, as many as possible, into a page where the first of them
 * belongs; returns their number.
 */
static int
insert_into(Relation index, Buffer buffer, const Shape *shape,
			OffsetNumber place, IndexTuple bound, IndexTuple *tuples, int n)
{
	Page		page = BufferGetPage(buffer);
	Size		total;
	int			i;

	n = measure_run(index, page, shape, bound, tuples, n, &total);
	if (n == 0)
		return 0;
	CheckForSerializableConflictIn(index, NULL, BufferGetBlockNumber(buffer));
	if (is_run(page, place, n))
		insert_run(index, buffer, place, tuples, n, total);
	else
		for (i = 0; i < n; i++)
			insert_one(index, buffer, place + i, tuples[i]);
	return n;
}

/*
 * Goes down the tree to the leaf where a key belongs; locks it exclusively.
 */
static Buffer
search_place(Relation events, Relation index, IndexTuple tuple)
{
	BTScanInsert search = _bt_mkscankey(index, tuple);
	BTStack		stack;
	Buffer		buffer;

	search->scantid = NULL;		/* as for a unique key */
	stack = bt_search_compat(index, events, search, &buffer, BT_WRITE);
	_bt_freestack(stack);
	pfree(search);
	return buffer;
}

int
es_leaf_insert(Relation events, Relation index, EsLeaf *leaf,
			   IndexTuple *tuples, int n)
{
	Shape		shape;
	LeafKey		key;
	OffsetNumber place;
	IndexTuple	bound;
	Place		where = PLACE_ELSEWHERE;
	Buffer		buffer;

	if (!get_shape(index, &shape) || !make_key(&key, &shape, tuples[0]))
		return 0;

	buffer = lock_remembered(index, leaf, BT_WRITE);
	if (BufferIsValid(buffer))
	{
		where = find_room(index, BufferGetPage(buffer), &key, false, &place,
						  &bound);
		if (where == PLACE_ELSEWHERE)
			_bt_relbuf(index, buffer);
	}
	if (where == PLACE_ELSEWHERE)
	{
		buffer = search_place(events, index, tuples[0]);
		where = find_room(index, BufferGetPage(buffer), &key, true, &place,
						  &bound);
	}

	n = where == PLACE_HERE ?
		insert_into(index, buffer, &shape, place, bound, tuples, n) : 0;
	remember(leaf, buffer);
	_bt_relbuf(index, buffer);
	return n;
}
