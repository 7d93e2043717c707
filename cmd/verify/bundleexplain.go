package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/consentledger/consentledger/internal/bundle"
	"github.com/consentledger/consentledger/internal/bundle/verdict"
	"github.com/consentledger/consentledger/internal/logfiles"
	"github.com/consentledger/consentledger/internal/timestamp"
	"github.com/consentledger/consentledger/ledger"
)

// handCheck is something that can be checked without this program: why, and how.
type handCheck struct {
	about string
	steps []handStep
}

// handStep is a command of a POSIX shell with coreutils, unzip and openssl, and what it
// must print; "" if that is nothing.
type handStep struct{ command, prints string }

// byHand writes what can be checked by hand.
func (p printer) byHand(checks []handCheck) {
	if len(checks) == 0 {
		return
	}
	p.Line("")
	p.Line("By hand, in a shell; what stands behind “=” is what the command before it must print:")
	for i, c := range checks {
		p.Line("")
		p.Line("%d. %s", i+1, c.about)
		for _, s := range c.steps {
			p.Line("    %s", s.command)
			if s.prints != "" {
				p.Line("    = %s", s.prints)
			}
		}
	}
}

// handChecks finds in a bundle what can be checked by hand.
type handChecks struct {
	c        *bundleCommand
	bundle   *bundle.Container
	unpacked string // directory, as a shell takes it
}

// explain gives one check of each sort by hand, in the directory in which this program
// runs. That they end as they say was checked: of a bundle that lacks what a check is
// about, it says so.
func (c *bundleCommand) explain(file *bundleFile, rep *verdict.Report, t *trusted) []handCheck {
	container, _ := bundle.Open(file, file.size) // given, too, if a newer verifier is needed
	if container == nil {
		return nil
	}
	h := &handChecks{c, container, quote(strings.TrimSuffix(filepath.Base(c.Bundle), ".asice") + ".unpacked")}
	value := h.value()
	value.steps = append([]handStep{{"unzip -q " + quote(c.Bundle) + " -d " + h.unpacked, ""}}, value.steps...)
	return []handCheck{value, h.signature(rep.Size, t), h.stamp(), {"Everything at once, with this program, offline:",
		[]handStep{{c.again() + " | head -n 1", headline(rep)}}}}
}

// at names a file of the bundle as a shell finds it.
func (h *handChecks) at(name string) string { return h.unpacked + "/" + name }

// value explains that a disclosed value is what its entry committed to; where nothing is
// disclosed, that an entry's hash is what the next one names.
func (h *handChecks) value() handCheck {
	files := h.bundle.Files()
	if i := slices.IndexFunc(files, func(f bundle.FileInfo) bool { return f.Kind == bundle.KindDisclosure }); i >= 0 {
		f := files[i]
		sum, entry := hex.EncodeToString(f.SHA256[:]), h.at(bundle.EntryPath(f.Index()))
		return handCheck{fmt.Sprintf("The value “%s” of entry %d is what the entry committed to: its SHA-256, in base64, is in the entry's text.", f.Text, f.Index()),
			[]handStep{{"sha256sum < " + h.at(f.Name), sum + "  -"},
				{"grep '^commit " + f.Text + " ' " + entry, "commit " + f.Text + " " + f.SHA256.String()},
				{"grep '^commit " + f.Text + " ' " + entry + " | cut -d' ' -f3 | base64 -d | od -An -v -tx1 | tr -d ' \\n'", sum}}}
	}
	for _, f := range files {
		next := bundle.EntryPath(f.Index() + 1)
		if _, ok := h.bundle.Lookup(next); !ok || f.Kind != bundle.KindEntry {
			continue
		}
		if text, err := h.bundle.File(f.Name); err == nil {
			leaf := ledger.LeafHash(text).String()
			return handCheck{fmt.Sprintf("The bundle discloses no value. Entry %d is as it was when entry %d was recorded, which names its hash:", f.Index(), f.Index()+1),
				[]handStep{{`{ printf '\000'; cat ` + h.at(f.Name) + "; } | openssl dgst -sha256 -binary | base64", leaf},
					{"grep '^prev ' " + h.at(next), "prev " + leaf}}}
		}
	}
	return handCheck{about: "The bundle discloses no value, and holds no two entries in a row: none of its hashes can be compared by hand."}
}

// signature explains that the log's Ed25519 key signed the manifest.
func (h *handChecks) signature(size ledger.Size, t *trusted) handCheck {
	ring := t.keys
	if len(ring) == 0 {
		ring, _ = h.bundle.File(string(bundle.KindKeys))
	}
	first := t.policy.Keys()
	candidates := []ledger.KeyPair{first}
	if followed, err := t.policy.WithKeys(ring); err == nil {
		candidates = append(candidates, followed.KeysAt(size))
	}
	for _, keys := range candidates {
		if h.bundle.VerifySignature(keys) == nil {
			return h.signedBy(keys.Ed25519, slices.Equal(keys.Ed25519.Key, first.Ed25519.Key))
		}
	}
	return handCheck{about: "The keys that signed the bundle are not known: give them with --keys."}
}

// derPrefix is what stands before the 32 bytes of an Ed25519 key in a
// SubjectPublicKeyInfo (RFC 8410), in base64: 12 bytes, so that base64 of the key can
// stand right behind it.
const derPrefix = "MCowBQYDK2VwAyEA"

func (h *handChecks) signedBy(key ledger.VerifierKey, ofPolicy bool) handCheck {
	text, signature, der := h.at("signed.txt"), h.at("signature.bin"), h.at("key.der")
	inBase64 := base64.StdEncoding.EncodeToString(key.Key)
	check := handCheck{about: fmt.Sprintf("The log signed the manifest, which has the SHA-256 of every file, with its Ed25519 key %08x", key.ID())}
	if ofPolicy {
		check.about += ", which your policy names:"
		check.steps = []handStep{{"grep '^log ' " + quote(h.c.Policy) + " | cut -d' ' -f2 | cut -d+ -f3- | base64 -d | tail -c 32 | base64", inBase64}}
	} else {
		check.about += ":"
	}
	check.steps = append(check.steps, handStep{"printf %s " + derPrefix + inBase64 + " | base64 -d > " + der, ""},
		handStep{"printf '%s\\n' " + bundle.Format + " " + key.Name + " $(sha256sum < " + h.at(string(bundle.KindManifest)) + " | cut -d' ' -f1) > " + text, ""},
		handStep{"head -n 1 " + h.at(string(bundle.KindSignature)) + " | cut -d' ' -f2 | base64 -d > " + signature, ""},
		handStep{"openssl pkeyutl -verify -pubin -keyform DER -inkey " + der + " -rawin -in " + text + " -sigfile " + signature, "Signature Verified Successfully"})
	return check
}

// maxTried is how many tokens of a bundle, and how many of its certificates, are tried
// for a pair that fits.
const maxTried = 8

// certificates is a file with certificates of authorities, as a shell finds it.
type certificates struct {
	name  string
	trust timestamp.Trust
}

// stamp explains a time stamp, by a certificate that the user gave if one fits.
func (h *handChecks) stamp() handCheck {
	var pem []certificates
	add := func(name string, text []byte, err error) {
		if pins, bad := timestamp.ParsePins(text); err == nil && bad == nil {
			pem = append(pem, certificates{name, timestamp.Trust{{Pins: pins}}})
		}
	}
	for _, name := range slices.Concat(h.c.QualifiedTSA, h.c.TSA) {
		text, err := logfiles.ReadInput("certificate", name, maxPins, nil)
		add(quote(name), text, err)
	}
	given, tokens := len(pem), 0
	for n := range maxTried {
		text, err := h.bundle.File(bundle.AuthorityPath(n + 1))
		add(h.at(bundle.AuthorityPath(n+1)), text, err)
	}
	for _, f := range h.bundle.Files() {
		data := string(bundle.KindManifest)
		switch f.Kind {
		case bundle.KindBoundToken:
			data = bundle.BoundPath(ledger.Size(f.Numbers[0]))
		case bundle.KindToken:
		default:
			continue
		}
		if tokens++; tokens > maxTried {
			break
		}
		if check, ok := h.stamped(data, f.Name, pem, given); ok {
			return check
		}
	}
	return handCheck{about: "No time stamp here can be checked with a certificate that you gave or that is in the bundle."}
}

func (h *handChecks) stamped(data, token string, pem []certificates, given int) (handCheck, bool) {
	der, err := h.bundle.File(token)
	if err != nil {
		return handCheck{}, false
	}
	stamps, _ := h.bundle.Lookup(data)
	for i, by := range pem {
		stamp, err := by.trust.Stamp(der, stamps.SHA256)
		if err != nil {
			continue
		}
		about := fmt.Sprintf("%s stamped %s at %s", stamp.Authority, data, clock(&ledger.Anchored{Time: stamp.Time, Accuracy: stamp.Accuracy.Seconds()}))
		if i < given {
			about += ", by the certificate that you gave:"
		} else {
			about += ". The certificate came with the bundle: compare it with one from elsewhere, such as the trusted list."
		}
		return handCheck{about, []handStep{{fmt.Sprintf("openssl ts -verify -data %s -in %s -token_in -partial_chain -attime %d -CAfile %s",
			h.at(data), h.at(token), stamp.Time.Unix(), by.name), "Verification: OK"}}}, true
	}
	return handCheck{}, false
}

// again gives the command line that checks the bundle as it was checked now.
func (c *bundleCommand) again() string {
	words := []string{"verify bundle", quote(c.Bundle), "--policy", quote(c.Policy)}
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				words = append(words, flag, quote(v))
			}
		}
	}
	add("--keys", c.Keys)
	add("--tsa", c.TSA...)
	add("--qualified-tsa", c.QualifiedTSA...)
	add("--log", c.Log)
	return strings.Join(words, " ")
}

// quote gives a word as a POSIX shell and the programs take it for the name of a file.
func quote(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:=@") == "" && name != "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
