package tlog_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/consentledger/consentledger/internal/testauthority"
	"github.com/consentledger/consentledger/internal/tlog"
)

// TestParseAuthorities is the table of configurations, good ones and every way of
// being bad.
func TestParseAuthorities(t *testing.T) {
	pem, err := os.ReadFile(testauthority.New(t, testauthority.Options{}).CAFile)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) ([]byte, error) {
		switch name {
		case "ca.pem":
			return pem, nil
		case "empty.pem":
			return nil, nil
		}
		return nil, errors.New("open " + name + ": no such file")
	}
	const good = "authority a https://tsa.example/ ca.pem\n"
	var nine strings.Builder
	for i := range tlog.MaxAuthorities + 1 {
		fmt.Fprintf(&nine, "authority a%d https://tsa.example/%d ca.pem\n", i, i)
	}
	eight := nine.String()[:strings.LastIndex(strings.TrimSpace(nine.String()), "\n")+1]
	for _, c := range []struct {
		name, text string
		n          int // of authorities, if it is good
		want       string
	}{
		{"one", good, 1, ""},
		{"no newline", strings.TrimSpace(good), 1, ""},
		{"blanks, comments, carriage returns", "\n# two\r\n\tauthority  a\thttps://tsa.example/ ca.pem # mine\r\n" +
			"authority b http://127.0.0.1:8082/tsr?x=1 ca.pem qualified\n\n", 2, ""},
		{"a user name", "authority a https://shop:secret@tsa.example/ ca.pem qualified", 1, ""},
		{"as many as can be", eight, 8, ""},
		{"too many", nine.String(), 0, "9 authorities, at most 8"},
		{"nothing", "", 0, "no authority; want lines of the form: authority NAME URL PEM-FILE [qualified]"},
		{"comments only", "# authority a https://tsa.example/ ca.pem\n", 0, "no authority"},
		{"too long", strings.Repeat("#\n", 33<<10), 0, "more than 65536 bytes"},
		{"another word", good + "witness b https://tsa.example/2 ca.pem", 0, "line 2: want authority NAME"},
		{"no certificate", "\nauthority a https://tsa.example/", 0, "line 2: want authority NAME"},
		{"a word too many", "authority a https://tsa.example/ ca.pem qualified trusted", 0, "line 1: want authority NAME"},
		{"another word behind", "authority a https://tsa.example/ ca.pem Qualified", 0, "line 1: want authority NAME"},
		{"name in capitals", "authority A https://tsa.example/ ca.pem", 0, "line 1: the name must be an identifier"},
		{"no URL", "authority a tsa.example ca.pem", 0, "line 1: the URL is not an http or https URL"},
		{"no host", "authority a https:///tsr ca.pem", 0, "not an http or https URL"},
		{"another scheme", "authority a ftp://tsa.example/ ca.pem", 0, "not an http or https URL"},
		{"no such URL", "authority a https://shop:secret@tsa.example:x/ ca.pem", 0, "not an http or https URL"},
		{"a fragment", "authority a https://tsa.example/#1 ca.pem", 0, "line 1: want authority NAME"},
		{"a password in the open", "authority a http://shop:secret@tsa.example/ ca.pem", 0, "line 1: the URL has a user name, which would travel unencrypted"},
		{"no file", "authority a https://tsa.example/ other.pem", 0, "line 1: reading the authority's certificate: open other.pem"},
		{"no certificate in it", "authority a https://tsa.example/ empty.pem", 0, "line 1: empty.pem: pinned certificates: there is none"},
		{"a name twice", good + "authority a https://tsa.example/2 ca.pem", 0, "line 2: there is an authority a already"},
		{"a URL twice", good + "authority b https://tsa.example/ ca.pem qualified", 0, "line 2: the URL is that of a"},
	} {
		list, err := tlog.ParseAuthorities([]byte(c.text), read)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil || len(list) != c.n {
			t.Errorf("%s: %d authorities, %v", c.name, len(list), err)
			continue
		}
		for i, a := range list {
			qualified := strings.Contains(strings.Split(c.text, "authority")[i+1], "qualified")
			if len(a.Pins) != 1 || a.Qualified != qualified || a.HasPassword() != strings.Contains(a.URL, "@") {
				t.Errorf("%s: %+v", c.name, a)
			}
		}
	}
}
