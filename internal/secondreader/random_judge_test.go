package secondreader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"

	"github.com/consentledger/consentledger/ledger"
)

var ruleName = regexp.MustCompile(`rule ([a-z_]+)`)

// judge has both verifiers judge a log that breaks a rule in its last entry, or none.
func (h *history) judge(r *reader, texts []string, rule string) {
	h.t.Helper()
	dir := h.t.TempDir()
	writeLog(h.t, dir, texts, rotations(h.texts), h.beside)
	rep, err := ledger.VerifyLog(context.Background(), directory(dir), ledger.VerifyOptions{Policy: h.policy})
	code, text := r.run("log", dir, "--policy", filepath.Join(vectors, "logs", "trust.policy"))
	if rule != "" {
		var violation *ledger.RuleError
		if !errors.As(err, &violation) || violation.Rule != rule {
			h.t.Errorf("the first verifier says %v, want the rule %s", err, rule)
		}
		if found := ruleName.FindStringSubmatch(text); code != 1 || found == nil || found[1] != rule {
			h.t.Errorf("the second verifier says %s (%s), want the rule %s; the last entry:\n%s", verdicts[code], text, rule, texts[len(texts)-1])
		}
		return
	}
	var told struct {
		States    map[string]int64 `json:"consents_by_state"`
		Grades    map[string]int64 `json:"consents_by_grade"`
		Kinds     map[string]int64 `json:"entries_by_kind"`
		Irregular map[string]int64 `json:"irregular"`
		Pending   int              `json:"erasures_not_yet_shredded"`
		Open      int              `json:"rights_requests_open"`
		Overdue   int              `json:"rights_requests_overdue"`
	}
	if err != nil || code != 0 {
		h.t.Fatalf("the first verifier says %v, the second %s: %s", err, verdicts[code], text)
	}
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		h.t.Fatal(err)
	}
	if !maps.Equal(told.States, rep.States) || !maps.Equal(told.Grades, rep.Grades) || !maps.Equal(told.Kinds, rep.Kinds) || !maps.Equal(told.Irregular, rep.Irregular) ||
		told.Pending != rep.PendingErasures || told.Open != rep.RightsOpen || told.Overdue != rep.RightsOverdue {
		h.t.Errorf("the second verifier says\n%+v\nthe first\n%v %v %v %v %d %d %d", told, rep.States, rep.Grades, rep.Kinds, rep.Irregular, rep.PendingErasures,
			rep.RightsOpen, rep.RightsOverdue)
	}
}

// directory reads an exported log.
type directory string

func (d directory) ReadPath(_ context.Context, path string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(d), filepath.FromSlash(path)))
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", ledger.ErrMissing, err)
	}
	return b, err
}
