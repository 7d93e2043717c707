package bundle

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDocument compares the table in CONTAINER.md with the one in the code.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile("CONTAINER.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	var rows []string
	for line := range strings.Lines(doc) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, line)
		}
	}
	if len(rows) != len(kindInfos) {
		t.Fatalf("the table has %d rows, want %d", len(rows), len(kindInfos))
	}
	for i, info := range kindInfos {
		media := "`" + info.media + "`"
		if info.kind == KindMimetype || info.rank >= rankManifest {
			media = "not listed"
		}
		if want := fmt.Sprintf("| `%s` | %s | %d | ", info.kind, media, info.max); !strings.HasPrefix(rows[i], want) {
			t.Errorf("row %d is %s, want %s", i, rows[i], want)
		}
	}
	for _, text := range []string{manifestHead(false), manifestTail, Format, MediaType, "268,435,456", "301,989,888", "20,000", "200 bytes"} {
		if !strings.Contains(doc, text) {
			t.Errorf("the document lacks %q", text)
		}
	}
}
