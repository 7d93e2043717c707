package service

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/consentledger/consentledger/internal/refusal"
	"github.com/consentledger/consentledger/internal/vault"
	"github.com/consentledger/consentledger/ledger"
	"github.com/consentledger/consentledger/ledger/store"
)

// Entry says where a request was recorded.
type Entry struct {
	Index ledger.Index
	Leaf  ledger.Hash
	Size  ledger.Size
	// Text and Receipt (C2SP tlog-proof) are set when a proof was asked for.
	Text    string
	Receipt string
}

// Consent is a consent as an answer shows it.
type Consent struct {
	ID       ledger.ConsentID
	Purpose  string
	Channel  string
	Notice   string // "" for records that no notice opened
	State    ledger.State
	Grade    string // A to E; "" if nothing was ever granted
	Overlays []string
	Entry    Entry // the entry that the answer is about

	opened *ledger.Entry // the entry that opened the consent
}

// Irregular is a fact that was recorded though it should not have happened.
type Irregular struct {
	Consent ledger.ConsentID `json:"consent"`
	Name    string           `json:"name"`
	State   string           `json:"state"`
}

// outcome is what a decision did: enough to build the answer from the log, so
// that a retry with the same idempotency key gets the same one. It holds no
// token and no personal value.
type outcome struct {
	Touched []touch        `json:"touched,omitempty"` // consents, each with its entry
	Entries []ledger.Index `json:"entries,omitempty"` // entries about no consent
	// Exported are the entries of a bundle, which may be about records that were erased.
	Exported  []ledger.Index `json:"exported,omitempty"`
	Irregular []Irregular    `json:"irregular,omitempty"`

	wrote []store.Recorded // by the decision itself; nothing for a retry
}

type touch struct {
	Consent ledger.ConsentID `json:"c"`
	Entry   ledger.Index     `json:"e"`
}

func (o *outcome) indexes() []ledger.Index {
	list := slices.Concat(o.Entries, o.Exported)
	for _, t := range o.Touched {
		if n := len(list); n == 0 || list[n-1] != t.Entry {
			list = append(list, t.Entry)
		}
	}
	return list
}

// once runs a decision at most once per idempotency key of a source.
type once struct {
	key string
	mac [32]byte
}

// maxIdempotencyKey is the longest idempotency key in bytes.
const maxIdempotencyKey = 255

// once prepares the check of an idempotency key; request is whatever makes two
// requests the same one, as JSON.
func (s *Service) once(src Source, key string, request any) (once, error) {
	if key == "" {
		return once{}, nil
	}
	if len(key) > maxIdempotencyKey {
		return once{}, refusal.Invalid("idempotency_key", "has %d bytes, at most %d", len(key), maxIdempotencyKey)
	}
	text, err := json.Marshal(request)
	if err != nil {
		return once{}, fmt.Errorf("encoding the request: %w", err)
	}
	return once{key, s.vault.RequestMAC(src.Name, key, text)}, nil
}

// recall gives the outcome of an earlier request with the same key, or nil.
func (o once) recall(t *turn) (*outcome, *vault.Subject, error) {
	if o.key == "" {
		return nil, nil, nil
	}
	before, state, err := t.vault.Recall(t.source.Name, o.key)
	switch {
	case err != nil:
		return nil, nil, err
	case state == vault.NeverSeen:
		return nil, nil, nil
	case state == vault.PersonErased:
		return nil, nil, errPersonErased
	case before.Request != o.mac:
		return nil, nil, refusal.Precondition("idempotency_key", "was used with another request")
	}
	out := new(outcome)
	if err := json.Unmarshal(before.Extra, out); err != nil {
		return nil, nil, fmt.Errorf("reading an earlier outcome: %w", err)
	}
	// A request about several people is remembered in the ledger's own slot.
	for _, touched := range out.Touched {
		if c, _, err := t.log.Consent(touched.Consent); err != nil {
			return nil, nil, err
		} else if !maySee(t.source, c) {
			return nil, nil, errPersonErased
		}
	}
	if err := t.mayKnow(out.Entries); err != nil {
		return nil, nil, err
	}
	return out, before.Subject, nil
}

// mayKnow refuses to answer with entries about consents of which the source may
// not know any more. The legal role may know of what is locked.
func (t *turn) mayKnow(entries []ledger.Index) error {
	for _, i := range entries {
		e, err := t.entry(i)
		if err != nil {
			return err
		}
		ids := e.About
		for _, l := range e.Consents {
			ids = append(ids, l.Consent)
		}
		for _, id := range ids {
			if c, _, err := t.log.Consent(id); err != nil {
				return err
			} else if c.Overlays.Has(ledger.Erased) || hidden(c) && t.source.Role != "legal" {
				return errPersonErased
			}
		}
	}
	return nil
}

var errPersonErased = refusal.NotFound("idempotency_key", "the person of that request is not known any more")

// remember keeps the outcome for a retry.
func (o once) remember(t *turn, who *vault.Subject, out *outcome) error {
	if o.key == "" {
		return nil
	}
	extra, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return t.vault.Remember(who, t.source.Name, o.key, o.mac, out.indexes(), extra)
}

// readEntry gives one entry of the log, as text and parsed.
func readEntry(snap *store.Snapshot, i ledger.Index) ([]byte, *ledger.Entry, error) {
	text, err := snap.Entry(i)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := ledger.ParseEntry(text)
	if err != nil {
		return nil, nil, fmt.Errorf("entry %d: %w", i, err)
	}
	return text, parsed, nil
}

// entry builds the answer about one entry, which wrote may have.
func (s *Service) entry(snap *store.Snapshot, i ledger.Index, proof bool, wrote ...store.Recorded) (Entry, *ledger.Entry, error) {
	var text []byte
	var parsed *ledger.Entry
	e := Entry{Index: i, Size: snap.Size()}
	// The entries of one decision follow one another.
	if len(wrote) > 0 && i >= wrote[0].Entry.Index && i <= wrote[len(wrote)-1].Entry.Index {
		w := wrote[i-wrote[0].Entry.Index]
		text, parsed, e.Leaf = w.Bytes, w.Entry, w.Leaf
	} else {
		var err error
		if text, parsed, err = readEntry(snap, i); err != nil {
			return Entry{}, nil, err
		}
		e.Leaf = ledger.LeafHash(text)
	}
	if proof {
		receipt, err := snap.Receipt(i)
		if err != nil {
			return Entry{}, nil, err
		}
		e.Text, e.Receipt = string(text), string(receipt.Text())
	}
	return e, parsed, nil
}

// entries builds the answers about several entries; those that wrote has are not read
// again.
func (s *Service) entries(list []ledger.Index, proof bool, wrote ...store.Recorded) ([]Entry, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	answers := make([]Entry, 0, len(list))
	for _, i := range list {
		e, _, err := s.entry(snap, i, proof, wrote...)
		if err != nil {
			return nil, err
		}
		answers = append(answers, e)
	}
	return answers, nil
}

// consents builds the answers about consents and the entries that touched them,
// in the state in which the log has them now; entries that wrote has are not read again.
func (s *Service) consents(touched []touch, proof bool, wrote ...store.Recorded) ([]Consent, error) {
	snap := s.log.Snapshot()
	defer snap.Release()
	answers := make([]Consent, 0, len(touched))
	var last Entry
	var parsed *ledger.Entry
	for n, t := range touched {
		if n == 0 || t.Entry != last.Index {
			var err error
			if last, parsed, err = s.entry(snap, t.Entry, proof, wrote...); err != nil {
				return nil, err
			}
		}
		c, err := showConsent(snap, t.Consent, parsed)
		if err != nil {
			return nil, err
		}
		c.Entry = last
		answers = append(answers, c)
	}
	return answers, nil
}

// showConsent shows a consent as it stands, without its entry. It reads the
// entry that opened the consent unless at is that entry.
func showConsent(snap *store.Snapshot, id ledger.ConsentID, at *ledger.Entry) (Consent, error) {
	c, ok, err := snap.Consent(id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: consent %d", store.ErrDamaged, id)
	}
	if err == nil && at.Index != ledger.Index(id) {
		_, at, err = readEntry(snap, ledger.Index(id))
	}
	if err != nil {
		return Consent{}, err
	}
	return Consent{c.ID, c.Purpose, c.Channel, noticeName(at), c.State, c.Grade().String(), c.Overlays.Names(), Entry{}, at}, nil
}

// noticeName names the notice with which a consent was asked for; "" for records
// that no notice opened.
func noticeName(opened *ledger.Entry) string {
	if opened.Notice.ID == "" {
		return ""
	}
	return opened.Notice.Name()
}
