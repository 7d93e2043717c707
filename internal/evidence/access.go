// Package evidence makes what is handed out about a person: the access report
// (Art. 15 and 20 GDPR), the consent receipt, and the proof bundle.
//
// Start with [WriteAccessJSON], [ConsentReceipt] and [WriteBundle]. What they say was
// gathered by package service; this package gives it its form, and reads nothing but
// the bytes of files. ACCESS.md documents the access report field by field, CONTAINER.md
// of package bundle the container.
//
// Promises: a report's `format` changes when the meaning of a field does; fields may
// be added. Equal facts give equal bytes, but for the signatures of a bundle. All
// functions are safe for concurrent use.
package evidence

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/consentledger/consentledger/internal/service"
)

// AccessFormat names the form of the JSON document.
const AccessFormat = "consent-ledger/access-report/v1"

// WriteAccessJSON writes an access report as JSON (RFC 8259, UTF-8), as ACCESS.md
// documents it: complete, with the bytes of every file in base64. It holds one file's
// chunk at a time. An error while files are read leaves a document that does not end:
// the person was erased meanwhile, or the vault is damaged.
func WriteAccessJSON(w io.Writer, d *service.Dossier) error {
	out := bufio.NewWriter(w)
	// The document without its files is encoded at once; the files follow as the last
	// member.
	head, err := encode(newReport(d))
	if err != nil {
		return err
	}
	head = bytes.TrimSuffix(head, []byte("\n}\n"))
	out.Write(head) // the error of a bufio.Writer shows at Flush
	if err := writeFiles(out, d); err != nil {
		return err
	}
	if _, err := out.WriteString("\n}\n"); err != nil {
		return err
	}
	return out.Flush()
}

// encode gives indented JSON that escapes no more than it must.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the report: %w", err)
	}
	return b.Bytes(), nil
}

// files gives the files of a dossier that are kept, each once, in the order in which
// entries name them.
func files(d *service.Dossier) (list []*service.HeldFile) {
	seen := map[string]bool{}
	for _, e := range d.Entries {
		for _, c := range e.Claims {
			if c.File != nil && c.File.Kept && !seen[c.File.SHA256] {
				seen[c.File.SHA256] = true
				list = append(list, c.File)
			}
		}
	}
	return list
}

// writeFiles writes the last member of the document: the files, one after the other.
func writeFiles(out *bufio.Writer, d *service.Dossier) error {
	out.WriteString(",\n  \"files\": [")
	for i, f := range files(d) {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(out, "\n    {\"sha256\": %q, \"size\": %d, \"bytes\": \"", f.SHA256, f.Size)
		b := base64.NewEncoder(base64.StdEncoding, out)
		if err := d.WriteFile(f, b); err != nil {
			return err
		}
		if err := b.Close(); err != nil {
			return err
		}
		out.WriteString("\"}")
	}
	_, err := out.WriteString("\n  ]")
	return err
}
