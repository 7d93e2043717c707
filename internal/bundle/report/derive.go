package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// held is an entry, parsed.
type held struct {
	*ledger.Entry
	of   *Entry
	leaf ledger.Hash
}

// claim gives a disclosed value, "" if it is not disclosed.
func (e *held) claim(name string) string {
	for _, d := range e.of.Disclosed {
		if d.Claim == name {
			return d.Value
		}
	}
	return ""
}

// concerns reports whether the entry opened, changes or mentions the record.
func (e *held) concerns(id ledger.ConsentID) bool {
	return e.Index == ledger.Index(id) || slices.Contains(e.About, id) ||
		slices.ContainsFunc(e.Consents, func(l ledger.Link) bool { return l.Consent == id })
}

// step is an entry about a record, and the record after it.
type step struct {
	*held
	after ledger.Consent
}

// history is a record with its entries.
type history struct {
	Consent
	steps []step // ascending; the first is the one that opened it
}

// last gives the record as the entries leave it.
func (h *history) last() ledger.Consent {
	if len(h.steps) == 0 {
		return ledger.Consent{ID: h.ID}
	}
	return h.steps[len(h.steps)-1].after
}

// at gives the record as it was recorded at a moment; its state is NoState if it
// had not been opened.
func (h *history) at(moment time.Time) (c ledger.Consent) {
	for _, s := range h.steps {
		if s.Time.After(moment) {
			break
		}
		c = s.after
	}
	return c
}

// read parses the entries and holds everything that the case says besides against
// them.
func (c *Case) read() ([]*held, error) {
	all := make([]*held, len(c.Entries))
	for i := range c.Entries {
		e, err := readEntry(&c.Entries[i])
		if err != nil {
			return nil, err
		}
		if i > 0 && e.Index <= all[i-1].Index {
			return nil, wrong("entry %d follows entry %d", e.Index, all[i-1].Index)
		}
		if ledger.Size(e.Index) >= c.Size {
			return nil, wrong("entry %d is not among the first %d", e.Index, c.Size)
		}
		all[i] = e
	}
	return all, c.readNotices(all)
}

func readEntry(of *Entry) (*held, error) {
	e, err := ledger.ParseEntry(of.Text)
	if err != nil {
		return nil, wrong("%v", err)
	}
	for _, d := range of.Disclosed {
		if digest, ok := e.Commit(d.Claim); !ok || digest != d.Digest() {
			return nil, wrong("entry %d: the disclosure of %s does not open its commitment", e.Index, d.Claim)
		}
	}
	return &held{Entry: e, of: of, leaf: ledger.LeafHash(of.Text)}, nil
}

func (c *Case) readNotices(all []*held) error {
	for _, n := range c.Notices {
		if ledger.TextHash([]byte(n.Text)) != n.SHA256 {
			return wrong("the text of notice %s has another hash", n.Name())
		}
		if !slices.ContainsFunc(all, func(e *held) bool { return e.Entry.Notice == n.NoticeRef }) {
			return wrong("no entry names notice %s with this hash", n.Name())
		}
	}
	return nil
}

// histories gives the records with their entries.
func (c *Case) histories(all []*held) ([]history, error) {
	list := make([]history, len(c.Consents))
	for i, of := range c.Consents {
		h := history{Consent: of}
		state := ledger.Consent{ID: of.ID, Last: ledger.Index(of.ID)}
		for _, e := range all {
			if !e.concerns(of.ID) {
				continue
			}
			if len(h.steps) == 0 {
				if e.Index != ledger.Index(of.ID) || e.Purpose == "" {
					return nil, wrong("the first entry about record %d is %d, which did not open it", of.ID, e.Index)
				}
				state.Purpose, state.Channel = e.Purpose, e.Channel
			}
			state = ledger.Apply(state, e.Entry)
			h.steps = append(h.steps, step{e, state})
		}
		list[i] = h
	}
	return list, nil
}

// named is the value of a claim whose value is bytes.
type named struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	SHA256    string `json:"sha256"`
}

// namesFile reads a value that names bytes.
func namesFile(value string) (n named, ok bool) {
	d := json.NewDecoder(bytes.NewReader([]byte(value)))
	d.DisallowUnknownFields()
	if d.Decode(&n) != nil || d.More() {
		return n, false
	}
	sum, err := hex.DecodeString(n.SHA256)
	return n, err == nil && len(sum) == sha256.Size
}

// files gives the files by the hex of their SHA-256, as values name them.
func (c *Case) files() map[string][]byte {
	m := make(map[string][]byte, len(c.Files))
	for _, f := range c.Files {
		sum := sha256.Sum256(f.Content)
		m[hex.EncodeToString(sum[:])] = f.Content
	}
	return m
}
