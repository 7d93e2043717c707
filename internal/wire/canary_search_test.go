package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sort"
	"strings"
)

// search finds any of many canaries, in any of their forms, in one pass over a
// text: Rabin and Karp's idea with the first eight bytes as the fingerprint.
type search struct {
	needles []needle
	exact   index
	folded  index // of needles in lower case
}

type needle struct {
	of    *planted
	form  string
	bytes []byte
}

// index finds the needles that begin with eight bytes. The bits answer "none"
// quickly.
type index struct {
	bits   []uint64
	starts map[uint64][]int
}

const indexBits = 24

func newIndex() index { return index{make([]uint64, 1<<(indexBits-6)), map[uint64][]int{}} }

func (x *index) slot(v uint64) (word int, bit uint64) {
	h := v * 0x9e3779b97f4a7c15 >> (64 - indexBits)
	return int(h >> 6), 1 << (h & 63)
}

func (x *index) add(start uint64, n int) {
	word, bit := x.slot(start)
	x.bits[word] |= bit
	x.starts[start] = append(x.starts[start], n)
}

// newSearch prepares the search for all forms of all spellings.
func newSearch(canaries []*planted) *search {
	s := &search{exact: newIndex(), folded: newIndex()}
	for _, p := range canaries {
		for i, text := range append([]string{p.text}, p.also...) {
			for _, f := range formsOf(p, text) {
				name := f.name
				if i > 0 {
					name += fmt.Sprint(" of spelling ", i)
				}
				s.add(p, name, f)
			}
		}
	}
	return s
}

func (s *search) add(p *planted, name string, f form) {
	x, b := &s.exact, f.bytes
	if f.fold {
		x, b = &s.folded, lower(b)
	}
	// No needle begins with a zero, so that holes in files are passed quickly.
	b = bytes.TrimLeft(b, "\x00")
	if len(b) < shortest {
		panic("too short to be found: " + name)
	}
	x.add(binary.LittleEndian.Uint64(b), len(s.needles))
	s.needles = append(s.needles, needle{p, name, b})
}

// lower makes ASCII letters small and leaves every other byte where it is.
func lower(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if 'A' <= c && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// hit is a canary that was found.
type hit struct {
	needle
	around string
}

// in gives what is found in a text.
func (s *search) in(text []byte) []hit {
	text = bytes.TrimRight(text, "\x00") // what Badger has not written yet
	return append(s.scan(&s.exact, text, text), s.scan(&s.folded, lower(text), text)...)
}

func (s *search) scan(x *index, text, original []byte) []hit {
	var hits []hit
	for i := 0; i+8 <= len(text); i++ {
		v := binary.LittleEndian.Uint64(text[i:])
		if zeros := bits.TrailingZeros64(v) / 8; zeros > 0 {
			i += zeros - 1
			continue
		}
		if word, bit := x.slot(v); x.bits[word]&bit == 0 {
			continue
		}
		for _, n := range x.starts[v] {
			if found := s.needles[n]; bytes.HasPrefix(text[i:], found.bytes) {
				around := original[max(0, i-80):min(len(original), i+len(found.bytes)+40)]
				hits = append(hits, hit{found, string(around)})
			}
		}
	}
	return hits
}

// place is a text in which canaries are looked for, and which of them may stand
// there.
type place struct {
	name    string
	text    []byte
	allowed func(needle) bool // nil: none
}

// leaks says for every canary that is where it must not be, in which places and
// forms.
func (s *search) leaks(places []place) []string {
	found := map[string][]string{}
	for _, p := range places {
		for _, h := range s.in(p.text) {
			if p.allowed != nil && p.allowed(h.needle) {
				continue
			}
			key := fmt.Sprintf("what was sent as %s is in %s", h.of.what, p.name)
			found[key] = append(found[key], fmt.Sprintf("%s: %.200q", h.form, h.around))
		}
	}
	var list []string
	for key, forms := range found {
		list = append(list, fmt.Sprintf("%s (%d times)\n\t%s", key, len(forms), strings.Join(forms[:min(2, len(forms))], "\n\t")))
	}
	sort.Strings(list)
	return list
}
