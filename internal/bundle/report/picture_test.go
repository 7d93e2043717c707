package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/ledger"
)

// The bar is filled while the record could be used, and the question stands where its
// moment lies.
func TestPicture(t *testing.T) {
	s := newStory(t)
	id := s.newsletter()
	s.add(ledger.Entry{Kind: ledger.ConsentGiven, Purpose: "newsletter", Channel: "post", Notice: ledger.NoticeRef{ID: "n", Version: 1}, Method: "paper", IPPolicy: "none"}, 0,
		"email", "erika@example.com")
	post := ledger.ConsentID(s.next - 1)
	s.add(ledger.Entry{Kind: ledger.RestrictionSet, Consents: []ledger.Link{{Consent: post, After: ledger.Index(post)}}, Ground: "art18_1_a"}, 0)
	s.c.Consents = append(s.c.Consents, Consent{ID: post})
	d, err := newDocument(&s.c, English)
	if err != nil {
		t.Fatal(err)
	}
	boxes := func(p picture) (list []style, asked float64) {
		for _, x := range p.shapes {
			switch x.form {
			case aBox:
				list = append(list, x.style)
			case aLine:
				asked = x.x
			}
		}
		return list, asked
	}
	const column = pictureWidth / perStrip
	// 1 requested, 2 sent, 4 confirmed, 6 withdrawn; the question lies between the last two.
	if list, asked := boxes(d.picture(&d.histories[0])); !slices.Equal(list, []style{empty, empty, full, empty}) || asked < 2.5*column || asked > 3.5*column {
		t.Errorf("of record %d: boxes %v, asked at %.1f", id, list, asked)
	}
	if list, asked := boxes(d.picture(&d.histories[1])); !slices.Equal(list, []style{full, empty}) || asked != 0 {
		t.Errorf("of record %d: boxes %v, asked at %.1f", post, list, asked)
	}
	s.c.Questions[0].At, s.c.Questions[0].Reason = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "no_consent"
	if d, err = newDocument(&s.c, English); err != nil {
		t.Fatal(err)
	}
	if _, asked := boxes(d.picture(&d.histories[0])); asked != 0 {
		t.Errorf("a question from before is drawn at %.1f", asked)
	}
}

func TestLabelLines(t *testing.T) {
	for _, list := range []string{"state", "overlay"} {
		for _, words := range vocabulary[list] {
			for _, l := range Languages() {
				label := words.in(l)
				if lines := labelLines(label); len(lines) > 3 || strings.Join(lines, " ") != label {
					t.Errorf("%q is broken into %q", label, lines)
				}
			}
		}
	}
}
