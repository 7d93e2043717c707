package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/ledger"
)

// fieldsOf lists the fields of a type as JSON names them, with those above them. Those
// of types that were met before are not listed again.
func fieldsOf(t reflect.Type, above string, met map[reflect.Type]bool) (list []string) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || met[t] {
		return nil
	}
	met[t] = true
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		list = append(append(list, above+name), fieldsOf(f.Type, above+name+".", met)...)
	}
	return list
}

// TestReportIsDocumented: every field of the report is documented, and none else.
func TestReportIsDocumented(t *testing.T) {
	text, err := os.ReadFile("BUNDLE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\n## `"+verdict.Format+"`\n") {
		t.Errorf("BUNDLE.md is not about %s", verdict.Format)
	}
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	want := fieldsOf(reflect.TypeFor[verdict.Report](), "", map[reflect.Type]bool{reflect.TypeFor[ledger.LogReport](): true, reflect.TypeFor[time.Time](): true})
	if !slices.Equal(documented, want) {
		t.Errorf("BUNDLE.md documents\n%s\nthe report has\n%s", strings.Join(documented, "\n"), strings.Join(want, "\n"))
	}
}
