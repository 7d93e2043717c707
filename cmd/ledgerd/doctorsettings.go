package main

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/ledger"
)

// What the doctor says of keys and certificates.
const (
	endsSoon = 14 * 24 * time.Hour // before the end
	idleKey  = 90 * 24 * time.Hour // after the last use, or since it was made
)

// lookAtSettings looks at the flags, the files that they name and the API keys.
func (d *doctor) lookAtSettings(c *serveCommand, now time.Time) {
	const servePrivately = "Give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that speaks TLS."
	switch {
	case c.TLSCert != "":
		d.lookAtTLS(c, now)
	case staysHere(c.Listen):
	case !c.AllowPlainHTTP:
		d.wrong("--listen", servePrivately, "the server will not start: %s may be reached from other machines, and this is plain HTTP", c.Listen)
	default:
		d.unwise("--listen", servePrivately, "%s may be reached from other machines over plain HTTP: keys and personal data can be read on the way", c.Listen)
	}
	switch {
	case c.AdminListen == "" || staysHere(c.AdminListen):
	case !c.AllowOpenAdmin:
		d.wrong("--admin-listen", "Listen on 127.0.0.1.", "the server will not start: %s takes no key and may be reached from other machines", c.AdminListen)
	default:
		d.unwise("--admin-listen", "Listen on 127.0.0.1, or let a firewall let only Prometheus through.",
			"%s takes no key and may be reached from other machines", c.AdminListen)
	}
	if c.AcceptClock {
		d.unwise("--accept-clock", "Give it for the one start that needs it, and take it away.", "it is given always, so a clock that goes wrong is not noticed")
	}
	if c.LogOnly {
		d.unwise("--log-only", "Take it away when the vault's keys are there again.", "nothing is recorded, and nobody's consent can be checked")
	}
	if lag := time.Duration(c.IndexLag); lag > 72*time.Hour {
		d.unwise("--index-lag", "Leave it at 72h.", "after an erasure a guess at the address can be tested for %v", lag)
	}
	d.lookAtSigners(c)
	if c.DatacentreRanges != "" {
		d.lookAtNamed("--datacentre-ranges", c.DatacentreRanges, func() error { _, err := readNetworks(c.DatacentreRanges); return err })
	}
	if c.Config != "" {
		d.lookAtWay("--config", string(c.Config))
	}
	d.lookAtKeys(apiKeys(c.Data), now)
}

// staysHere says whether an address is a loopback one.
func staysHere(addr string) bool {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	return err == nil && tcp.IP.IsLoopback()
}

// lookAtSigners looks at those who keep the operator from rewriting the log.
func (d *doctor) lookAtSigners(c *serveCommand) {
	if c.WitnessPolicy == "" {
		d.unwise("--witness-policy", "Find somebody who runs `ledgerd witness`, and give their policy.",
			"nobody cosigns the log: that it was not shown differently to different people, nobody can tell")
	} else {
		d.lookAtNamed("--witness-policy", c.WitnessPolicy, func() error {
			text, err := os.ReadFile(c.WitnessPolicy)
			if err == nil {
				_, err = ledger.ParsePolicy(text)
			}
			return err
		})
	}
	if c.LogOnly {
		return
	}
	if c.TimestampAuthorities == "" {
		d.unwise("--timestamp-authorities", "Give one; `ledgerd serve --help` says how.", "nobody stamps the log: when an entry was made, only this machine's clock says")
	} else {
		d.lookAtNamed("--timestamp-authorities", c.TimestampAuthorities, func() error { _, err := readAuthorities(c.TimestampAuthorities); return err })
	}
}

// lookAtNamed looks at a file that a flag names, and reads it as the server would.
func (d *doctor) lookAtNamed(flag, path string, read func() error) {
	if err := read(); err != nil {
		d.wrong(flag, "Put it right: the server will not start with it.", "%v", err)
		return
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o022 != 0 {
		d.wrong(flag, fmt.Sprintf("Run: chmod go-w %s", shellQuote(path)), "others may write %s", path)
	}
	d.lookAtWay(flag, path)
}

// lookAtTLS looks at the certificate that is served, and at its key.
func (d *doctor) lookAtTLS(c *serveCommand, now time.Time) {
	end, err := server.TLSFiles{Certificate: c.TLSCert, Key: c.TLSKey}.Check()
	switch left := end.Sub(now); {
	case err != nil:
		d.wrong("--tls-cert", "Put it right: the server will not start with it.", "%v", err)
	case left < endsSoon:
		d.unwise("--tls-cert", "See why it was not renewed; the server takes a new one within seconds.", "%s ends at %s", c.TLSCert, utc(end))
	}
	d.lookAtWay("--tls-cert", c.TLSCert)
	d.lookAtWay("--tls-key", c.TLSKey)
}

// lookAtKeys looks at the API keys that work; of those that have one name at the
// newest, because the others were replaced.
func (d *doctor) lookAtKeys(path string, now time.Time) {
	const check = "API keys"
	keys, unread, err := authn.List(path)
	if err != nil {
		d.wrong(check, "Put it right: the server will not start with it.", "%v", explainKeys(err))
		return
	}
	working := map[string]authn.Key{}
	for _, k := range keys {
		if k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires)) {
			working[k.Name] = k
		}
	}
	var endless, ending, idle []string
	for _, name := range slices.Sorted(maps.Keys(working)) {
		k := working[name]
		switch {
		case k.Expires.IsZero():
			endless = append(endless, name)
		case k.Expires.Sub(now) < endsSoon:
			ending = append(ending, fmt.Sprintf("%s (%s)", name, utc(k.Expires)))
		}
		used := k.LastUsed
		if used.IsZero() {
			used = k.Created
		}
		if unread == nil && now.Sub(used) >= idleKey {
			idle = append(idle, name)
		}
	}
	if len(endless) > 0 {
		d.unwise(check, "Renew them for a time: `ledgerd apikey add --replace --expires 365d`.", "whoever comes by one may use it for ever; without an end are %s", strings.Join(endless, ", "))
	}
	if len(ending) > 0 {
		d.unwise(check, "Renew them: `ledgerd apikey add --replace --overlap 1d`.", "soon refused are %s", strings.Join(ending, ", "))
	}
	if len(idle) > 0 {
		d.unwise(check, "Revoke them if nobody needs them: `ledgerd apikey revoke`.", "not used for 90 days are %s", strings.Join(idle, ", "))
	}
	if unread != nil {
		d.unwise(check, "Delete the file: the server then makes it anew.", "when they were used last cannot be read: %v", unread)
	}
}
