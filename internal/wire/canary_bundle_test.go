package wire_test

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/bundle"
)

// bundling are the methods that hand out files that prove something about people to
// others, ranging those that do about a run of entries.
var (
	bundling = []string{evidence + "ExportBundle", evidence + "GetBundle"}
	ranging  = []string{audit + "ExportRange", audit + "GetRange"}
)

// unpacked gives a bundle as it is, and each of its files; of a PDF what it says, too,
// where somebody can read it.
func (s *story) unpacked(name string, file []byte, allowed func(needle) bool) []place {
	s.t.Helper()
	c, err := bundle.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	list := []place{{name, file, allowed}}
	for _, f := range c.Files() {
		text, err := c.File(f.Name)
		if err != nil {
			s.t.Fatalf("%s: %v", name, err)
		}
		list = append(list, place{name + ": " + f.Name, append([]byte(f.Name+"\n"), text...), allowed})
		if _, err := exec.LookPath("pdftotext"); err == nil && (f.Kind == bundle.KindPDFDe || f.Kind == bundle.KindPDFEn) {
			read := exec.Command("pdftotext", "-", "-")
			read.Stdin = bytes.NewReader(text)
			words, err := read.Output()
			if err != nil || len(words) == 0 {
				s.t.Errorf("%s: %s: %v", name, f.Name, err)
			}
			list = append(list, place{name + ": the words of " + f.Name, words, allowed})
		}
	}
	return list
}

// prove makes bundles about a person, by ids and by their identifier, in both ways. Of
// what was sent, nothing is in them but the values that were asked for, for whom they are
// and why, and what is public.
func (g *garden) prove(who object, o opened) {
	g.t.Helper()
	disclose := []string{"user_agent", "operator"}
	files := map[string][]byte{}
	own := map[string][]*planted{} // for whom a bundle is, and why
	for _, asked := range []struct {
		procedure string
		about     object
	}{{bundling[0], object{"subject": who}}, {bundling[1], object{"subject": who}}, {bundling[1], object{"consent_ids": []string{o.id}}}} {
		method := shortName(asked.procedure)
		recipient, reason := g.plant("name", method+" recipient"), g.plant("address", method+" reason")
		req := object{"disclose": disclose, "recipient": recipient.text, "reason": reason.text, "idempotency_key": g.key(method)}
		maps.Copy(req, asked.about)
		g.noteFilled(method, "", req)
		g.noteSubjects(req)
		name := fmt.Sprint("bundle ", len(files), ", ", method)
		files[name], own[name] = g.r.fileOf(asked.procedure, req), []*planted{recipient, reason}
		g.useAgain(method, req["idempotency_key"], false)
	}
	s := newSearch(g.canaries)
	for name, file := range files {
		chosen := map[*planted]bool{}
		leaks := s.leaks(g.unpacked(name, file, func(n needle) bool {
			if slices.Contains(own[name], n.of) || slices.ContainsFunc(disclose, func(claim string) bool { return strings.Contains(n.of.what, " claims."+claim+",") }) {
				chosen[n.of] = true
				return true
			}
			return n.of.public || n.of.shown
		}))
		for _, leak := range leaks {
			g.t.Error(leak)
		}
		if len(chosen) < 4 {
			g.t.Errorf("%s: %d of the values that were chosen are found in it", name, len(chosen))
		}
	}
}
