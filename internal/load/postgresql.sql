-- The same event in a table, found by its index and by its address.
CREATE TABLE plain (
  index bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  recorded timestamptz NOT NULL DEFAULT clock_timestamp(),
  email text NOT NULL, purpose text NOT NULL, channel text NOT NULL, notice text NOT NULL, method text NOT NULL, claims jsonb NOT NULL
);
CREATE INDEX ON plain (email);

-- And in one whose rows are chained by SHA-256. Who holds the row of the head is next: with many clients
-- that takes less than half of what an advisory lock and a look for the newest row take.
CREATE TABLE chained (
  index bigint PRIMARY KEY,
  recorded timestamptz NOT NULL,
  email text NOT NULL, purpose text NOT NULL, channel text NOT NULL, notice text NOT NULL, method text NOT NULL, claims jsonb NOT NULL,
  prev bytea NOT NULL, hash bytea NOT NULL
);
CREATE INDEX ON chained (email);
CREATE TABLE head (index bigint NOT NULL, hash bytea NOT NULL) WITH (fillfactor = 10);
INSERT INTO head VALUES (0, '');

CREATE FUNCTION event_hash(prev bytea, index bigint, recorded timestamptz, email text, purpose text, channel text, notice text, method text, claims jsonb) RETURNS bytea
  LANGUAGE sql STABLE RETURN sha256(prev || convert_to(concat_ws(E'\n', index, extract(epoch FROM recorded), email, purpose, channel, notice, method, claims), 'UTF8'));

CREATE FUNCTION chain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT head.index + 1, head.hash INTO NEW.index, NEW.prev FROM head FOR UPDATE;
  NEW.recorded := clock_timestamp();
  NEW.hash := event_hash(NEW.prev, NEW.index, NEW.recorded, NEW.email, NEW.purpose, NEW.channel, NEW.notice, NEW.method, NEW.claims);
  UPDATE head SET index = NEW.index, hash = NEW.hash;
  RETURN NEW;
END $$;
CREATE TRIGGER chain BEFORE INSERT ON chained FOR EACH ROW EXECUTE FUNCTION chain();
