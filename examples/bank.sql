-- Bank accounts: balances that are never wrong, and never overdrawn.
--
-- An account is a stream of deposits and withdrawals. The balance is a read
-- model; it is there twice, to show the modes. The async one is kept by a
-- worker right behind the commit: appends do not pay for it. The inline one is
-- written by the transaction that appends: it is never behind.

CREATE SCHEMA bank;
SET search_path = bank, public;

SELECT es_create_view('balance', $$
    SELECT stream_id AS account,
           es_last(data->>'owner') AS owner,
           coalesce(sum((data->>'amount')::numeric * CASE event_type WHEN 'MoneyWithdrawn' THEN -1 ELSE 1 END), 0) AS balance,
           count(*) FILTER (WHERE event_type <> 'AccountOpened') AS entries,
           es_last(event_type) AS last_event
    FROM es_log WHERE es_category(stream_id) = 'account'
    GROUP BY stream_id
$$, categories => '{account}');

-- The same, inline, with what a decision needs: the balance, and the version
-- of the stream that it is the balance of.
SELECT es_create_view('balance_now', $$
    SELECT stream_id AS account,
           coalesce(sum((data->>'amount')::numeric * CASE event_type WHEN 'MoneyWithdrawn' THEN -1 ELSE 1 END), 0) AS balance,
           max(version) AS version
    FROM es_log WHERE es_category(stream_id) = 'account'
    GROUP BY stream_id
$$, mode => 'inline', categories => '{account}');

-- A withdrawal is a decision: enough money, at that version. If somebody else
-- appends to the account in between, es_append fails with PE001, and the caller
-- decides again. No row is locked while one decides.
CREATE FUNCTION withdraw(account text, amount numeric) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    known bank.balance_now;
BEGIN
    SELECT * INTO known FROM bank.balance_now b WHERE b.account = withdraw.account;
    IF known.balance IS NULL OR known.balance < amount THEN
        RAISE EXCEPTION 'only % on %', coalesce(known.balance, 0), account;
    END IF;
    RETURN es_append(account, 'MoneyWithdrawn', jsonb_build_object('amount', amount), expected_version => known.version);
END $$;

SELECT es_append('account-1', 'AccountOpened', '{"owner": "Ana"}', expected_version => 0);
SELECT es_append('account-1', 'MoneyDeposited', '{"amount": 100}');
SELECT es_append('account-2', 'AccountOpened', '{"owner": "Bo"}', expected_version => 0);

-- It sees its own transaction's events.
SELECT withdraw('account-1', 30);
SELECT withdraw('account-1', 80);

-- A transfer is two appends in one transaction: both or none.
BEGIN;
SELECT withdraw('account-1', 25);
SELECT es_append('account-2', 'MoneyDeposited', '{"amount": 25}');
COMMIT;

-- One that fails half-way leaves no trace, in the log and in both read models.
BEGIN;
SELECT es_append('account-1', 'MoneyDeposited', '{"amount": 500}');
SELECT balance FROM balance_now WHERE account = 'account-1';
SELECT withdraw('account-2', 500);
ROLLBACK;

-- Two decide on the same version: the second is told.
SELECT version FROM balance_now WHERE account = 'account-1' \gset seen_
SELECT es_append('account-1', 'MoneyWithdrawn', '{"amount": 40}', expected_version => :seen_version);
SELECT es_append('account-1', 'MoneyWithdrawn', '{"amount": 40}', expected_version => :seen_version);

SELECT * FROM balance_now ORDER BY account;

-- The async one, once everything committed so far is in.
SELECT es_wait('balance');
SELECT * FROM balance ORDER BY account;

-- A mode is a setting: nothing is lost or doubled on the way.
SELECT es_alter_projection('balance', mode => 'inline');
SELECT es_append('account-2', 'MoneyDeposited', '{"amount": 1.50}');
SELECT account, balance FROM balance ORDER BY account;

SELECT name, kind, mode, state FROM es_projections WHERE name LIKE 'balance%' ORDER BY name;
SELECT * FROM es_verify('balance');
SELECT * FROM es_verify('balance_now');
