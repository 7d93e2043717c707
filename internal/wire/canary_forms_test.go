package wire_test

import (
	"bytes"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"

	"github.com/consentledger/consentledger/internal/service"
)

// planted is one canary: a value that looks like personal data, stands in one
// request and must be found nowhere else.
type planted struct {
	what string   // where it was planted: "RequestConsent subject.email"
	text string   // as it was sent
	also []string // how else it could be spelled: normalised, its halves
	// secret: a token. Answers hand it out, and its SHA-256 may be known: that
	// is the log's lock, or the key of the vault's row.
	secret bool
	// shown: a text that callers with the same role are shown again: a title.
	shown bool
	// public: stands in the log and in exports by design: a notice's text.
	public bool
}

// The kinds of canaries. Each call draws another value.
var kinds = map[string]func() planted{
	"address": func() planted {
		tag := newTag()
		return planted{text: "Jörg." + tag + "@Bücher-" + tag[1:] + ".Example"}
	},
	"number": func() planted { // an E.164 number in one of its spellings
		n := newNumber()
		return planted{text: fmt.Sprintf("+49 (30) %04d-%04d", n/10_000, n%10_000)}
	},
	"dialled": func() planted {
		return planted{text: fmt.Sprint("+4930", newNumber())}
	},
	"customer": func() planted { return planted{text: "Kunde+" + newTag() + "@crm-" + newTag() + ".example"} },
	"name":     func() planted { return planted{text: "Jürgen Özdemir-" + newTag()} },
	"ip": func() planted {
		n := ipsDrawn.Add(1)
		return planted{text: fmt.Sprintf("198.18.%d.%d", 100+n/100, 100+n%100)}
	},
	"ip6": func() planted {
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		copy(b[4:], random(12))
		b[4] |= 0x10
		return planted{text: netip.AddrFrom16(b).String()}
	},
}

var ipsDrawn atomic.Uint32

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// newNumber gives eight digits that are far from those of every other canary: among
// thousands drawn at random two would be alike once in a while, and one be found where
// the other is shown. Far, because the last digit falls out of some base64 forms. All
// eight are always written: a shorter number could be how another one begins.
func newNumber() uint32 {
	return 10_000_000 + (firstNumber+1_000*numbersDrawn.Add(1))%90_000_000
}

var (
	firstNumber  = binary.BigEndian.Uint32(random(4)) % 90_000_000
	numbersDrawn atomic.Uint32
)

// newTag makes a canary the only one of its kind: ten letters and digits.
func newTag() string { return "q" + strings.ToLower(rand.Text()[:9]) }

// spell fills in how else a canary could be spelled, from its text.
func (p *planted) spell() {
	add := func(texts ...string) {
		for _, text := range texts {
			for _, text := range []string{text, norm.NFD.String(text), strings.ToLower(text), strings.ToUpper(text)} {
				if len(text) >= shortest && text != p.text && !slices.Contains(p.also, text) {
					p.also = append(p.also, text)
				}
			}
		}
	}
	add(p.text)
	if normal, err := service.NormaliseEmail(p.text); err == nil {
		add(normal)
		add(strings.Split(p.text, "@")...)
		add(strings.Split(normal, "@")...)
	}
	if normal, err := service.NormalisePhone(p.text); err == nil {
		add(normal, normal[1:], "0"+normal[3:])
	}
	if addr, err := netip.ParseAddr(p.text); err == nil {
		bits := 24
		if addr.Is6() {
			bits = 48
			raw := addr.As16()
			add(string(raw[:]), addr.StringExpanded())
		}
		prefix, _ := addr.Prefix(bits)
		add(prefix.String()) // what is sealed of an address
	}
}

// shortest is how many bytes a spelling needs to be found; shorter ones would be
// found by chance.
const shortest = 8

// form is one way of writing a text.
type form struct {
	name  string
	bytes []byte
	fold  bool // letters may be of either case
}

// formsOf gives all the ways in which a text could be written.
func formsOf(p *planted, text string) []form {
	list := written("", []byte(text))
	if p.secret {
		return list
	}
	// A part of a digest gives the person away as well as the whole.
	for name, sum := range map[string][]byte{
		"MD5": sum16(md5.Sum([]byte(text))), "SHA-1": sum20(sha1.Sum([]byte(text))), "SHA-256": sum32(sha256.Sum256([]byte(text))),
	} {
		list = append(list, written(name+" ", sum[:16])...)
	}
	return list
}

func sum16(b [16]byte) []byte { return b[:] }
func sum20(b [20]byte) []byte { return b[:] }
func sum32(b [32]byte) []byte { return b[:] }

// written gives the encodings of bytes. Base64 depends on where in a longer text
// the bytes begin, and on what follows; the digits that do not depend on their
// neighbours are looked for, which is the same with and without padding.
func written(prefix string, b []byte) []form {
	reversed := []rune(string(b))
	slices.Reverse(reversed)
	list := []form{{"plain", b, true}, {"hex", []byte(hex.EncodeToString(b)), true}}
	if prefix == "" {
		list = append(list,
			form{"query", []byte(url.QueryEscape(string(b))), true},
			form{"path", []byte(url.PathEscape(string(b))), true},
			form{"percent", []byte(percent(b)), true},
			form{"backslash", []byte(strings.Trim(strconv.QuoteToASCII(string(b)), `"`)), true},
			form{"reversed", []byte(string(reversed)), true},
			form{"UTF-16LE", wide(binary.LittleEndian, string(b)), true},
			form{"UTF-16BE", wide(binary.BigEndian, string(b)), true})
	} else {
		list[0].fold = false
	}
	for name, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for skew := range 3 {
			all := e.EncodeToString(append(make([]byte, skew), b...))
			first, bits := (skew*8+5)/6, (skew+len(b))*8
			list = append(list, form{fmt.Sprint(name, " at ", skew), []byte(all[first : bits/6]), false})
		}
	}
	for i := range list {
		list[i].name = prefix + list[i].name
	}
	return list
}

func percent(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		fmt.Fprintf(&s, "%%%02X", c)
	}
	return s.String()
}

func wide(order binary.AppendByteOrder, s string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, unit)
	}
	return b
}

// TestBase64Core compares the digits that are looked for with whole texts.
func TestBase64Core(t *testing.T) {
	t.Parallel()
	secret := []byte("jörg@example.org")
	for before := range 6 {
		for after := range 4 {
			text := base64.StdEncoding.EncodeToString(slices.Concat(random(before), secret, random(after)))
			found := 0
			for _, f := range written("", secret) {
				if strings.HasPrefix(f.name, "base64 ") && bytes.Contains([]byte(text), f.bytes) {
					found++
				}
			}
			if found != 1 {
				t.Errorf("%d bytes before, %d after: found %d times in %s", before, after, found, text)
			}
		}
	}
}
