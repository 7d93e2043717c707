package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/ledger"
)

// oldKey is the age from which an API key should be replaced.
const oldKey = 365 * 24 * time.Hour

// lookAtSettings looks at the flags, the files that they name and the API keys.
func (d *doctor) lookAtSettings(c *serveCommand, now time.Time) {
	if !staysHere(c.Listen) {
		d.unwise("--listen", "Listen on 127.0.0.1 behind a proxy that speaks TLS.",
			"%s may be reached from other machines over plain HTTP: keys and personal data can be read on the way", c.Listen)
	}
	if c.AdminListen != "" && !staysHere(c.AdminListen) {
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

// lookAtKeys looks at the API keys.
func (d *doctor) lookAtKeys(path string, now time.Time) {
	keys, _, err := authn.List(path)
	if err != nil {
		d.wrong("API keys", "Put it right: the server will not start with it.", "%v", explainKeys(err))
		return
	}
	var old []string
	for _, k := range keys {
		if k.Revoked.IsZero() && now.Sub(k.Created) > oldKey {
			old = append(old, k.Name)
		}
	}
	if len(old) > 0 {
		d.unwise("API keys", "Replace them: `ledgerd apikey revoke` and `ledgerd apikey add` under the same name.", "older than a year: %s", strings.Join(old, ", "))
	}
}
