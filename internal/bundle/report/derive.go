package report

import (
	"bytes"
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

// answers reports whether the entry names no record and refers to one of those said, as
// a statement that keys were destroyed refers to the erasure.
func (e *held) answers(to map[ledger.Index]bool) bool {
	return len(e.About) == 0 && len(e.Consents) == 0 && slices.ContainsFunc(e.Refers, func(i ledger.Index) bool { return to[i] })
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

// isAbout reports whether the record is one of the purpose and channel asked about.
func (h *history) isAbout(q Question) bool {
	last := h.last()
	return q.Purpose == last.Purpose && (q.Channel == last.Channel || last.Channel == ledger.AnyChannel)
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
	if err := c.readNotices(all); err != nil {
		return nil, err
	}
	return all, c.readRange(all)
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
		if ledger.TextHash(n.Text) != n.SHA256 {
			return wrong("the text of notice %s has another hash", n.Name())
		}
		named := false
		for _, e := range all {
			if e.Entry.Notice != n.NoticeRef {
				continue
			}
			named = true
			if e.Kind == ledger.NoticePublished && n.Facts != nil && ledger.TextHash(n.Facts) != e.Facts {
				return wrong("the facts of notice %s have another hash", n.Name())
			}
		}
		if !named {
			return wrong("no entry names notice %s with this hash", n.Name())
		}
	}
	return nil
}

// readRange checks that the entries of the range are all there.
func (c *Case) readRange(all []*held) error {
	if c.Range == nil {
		return nil
	}
	if len(c.Consents) > 0 || len(c.Questions) > 0 {
		return wrong("a report about a range is about records, too")
	}
	n := 0
	for _, e := range all {
		if c.Range.has(e.Index) {
			n++
		}
	}
	if n == 0 || n != int(c.Range.End-c.Range.Start) {
		return wrong("of the entries from %d and before %d, %d are there", c.Range.Start, c.Range.End, n)
	}
	return nil
}

func (r *Range) has(i ledger.Index) bool { return r.Start <= i && i < r.End }

// histories gives the records with their entries.
func (c *Case) histories(all []*held) ([]history, error) {
	list := make([]history, len(c.Consents))
	for i, of := range c.Consents {
		h := history{Consent: of}
		state := ledger.Consent{ID: of.ID, Last: ledger.Index(of.ID)}
		own := map[ledger.Index]bool{}
		for _, e := range all {
			if !e.concerns(of.ID) {
				if e.answers(own) {
					own[e.Index] = true
					h.steps = append(h.steps, step{e, state})
				}
				continue
			}
			own[e.Index] = true
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
	sum       ledger.Hash
}

// namesFile reads a value that names bytes.
func namesFile(value string) (n named, ok bool) {
	d := json.NewDecoder(bytes.NewReader([]byte(value)))
	d.DisallowUnknownFields()
	if d.Decode(&n) != nil || d.InputOffset() != int64(len(value)) {
		return n, false
	}
	sum, err := hex.DecodeString(n.SHA256)
	return n, err == nil && copy(n.sum[:], sum) == len(sum) && len(sum) == len(n.sum)
}

// files gives the files by their SHA-256.
func (c *Case) files() map[ledger.Hash]*File {
	m := make(map[ledger.Hash]*File, len(c.Files))
	for i := range c.Files {
		m[c.Files[i].SHA256] = &c.Files[i]
	}
	return m
}

// fact is one field of a notice.
type fact struct{ name, value string }

// facts reads the document of a notice's facts: the members in their order, of lists
// each item. What is no such document tells nothing.
func (n *Notice) facts() (list []fact) {
	d := json.NewDecoder(bytes.NewReader(n.Facts))
	name, inList := "", false
	for {
		t, err := d.Token()
		switch v := t.(type) {
		case json.Delim:
			inList = v == '['
			if v == ']' {
				name = ""
			}
			continue
		case string:
			if name == "" {
				name = v
				continue
			}
			list = append(list, fact{name, v})
		case bool:
			list = append(list, fact{name, map[bool]string{true: "yes", false: "no"}[v]})
		default: // the end, with nil; a number or null, which no facts have
			if err != nil {
				return list
			}
		}
		if !inList {
			name = ""
		}
	}
}
