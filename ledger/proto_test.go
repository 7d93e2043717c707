package ledger

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestProtoVocabularies compares the words that the API's comments list with the
// vocabularies: a caller reads them there, and nobody compiles a comment.
func TestProtoVocabularies(t *testing.T) {
	files, err := filepath.Glob("../proto/consent/*/v1/*.proto")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	var text strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	said := regexp.MustCompile(`[a-z0-9][a-z0-9_]*`).FindAllString(text.String(), -1)
	for name, words := range map[string][]string{
		"channel": channels, "method": methods, "ground": grounds, "reason": eraseReasons, "claim": claims,
	} {
		for _, w := range words {
			if !slices.Contains(said, w) {
				t.Errorf("the API's comments do not name the %s %s", name, w)
			}
		}
	}
}
