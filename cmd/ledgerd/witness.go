package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/consentledger/consentledger/internal/server"
	"github.com/consentledger/consentledger/internal/witness"
	"github.com/consentledger/consentledger/ledger"
)

// witnessCommand is `ledgerd witness`.
type witnessCommand struct {
	Init  witnessInit  `cmd:"" help:"Make a witness with keys of its own."`
	Serve witnessServe `cmd:"" help:"Cosign what the logs publish, until interrupted."`
}

// witnessInit is `ledgerd witness init`.
type witnessInit struct {
	Data string `required:"" env:"LEDGERD_WITNESS_DATA" placeholder:"DIR" help:"The directory to make. An existing one is never touched."`
	Name string `required:"" placeholder:"NAME" help:"The witness's name for ever: a host and, if you like, a path, such as witness.example.org/dpo. Not the name of a log."`
	URL  string `name:"url" placeholder:"URL" help:"Where logs will reach it; it then stands in the lines for their policies."`
}

// Help is printed by --help below the one sentence.
func (*witnessInit) Help() string {
	return `A witness remembers the largest checkpoint of each log that it was shown and cosigns only what extends it. Run it on a
machine that whoever runs the ledger has no access to: the data protection officer's, an auditor's, a partner's.

Prints its two verifier keys, Ed25519 and ML-DSA-44, as the lines that readers add to their trust policies; the file
witness.policy in the directory holds them, too. Never copy the directory's files "witness.keys" and "cosigned" to a
second machine that serves, nor back from an older copy.

Example:

    ledgerd witness init --data /srv/witness --name witness.example.org/dpo --url https://witness.example.org`
}

func (c *witnessInit) run(_ context.Context, std *streams) error {
	policy, err := witness.Create(c.Data, c.Name, c.URL)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, `A new witness is in %s. Its name is %s.

Whoever wants to rely on it adds these lines to their trust policy, before the line "group hybrid", and %[2]s to that
group; give them to people by another way than the ledger's own. This file holds them:

    %[3]s

%[4]s
Next, with the trust policies of the logs to witness:

    %[5]s witness serve --data %[6]s --logs trust.policy
`, c.Data, c.Name, filepath.Join(c.Data, "witness.policy"), policy, programName(), shellQuote(c.Data))
	return err
}

// witnessServe is `ledgerd witness serve`.
type witnessServe struct {
	Data           string   `required:"" env:"LEDGERD_WITNESS_DATA" placeholder:"DIR" help:"The witness's directory."`
	Logs           []string `required:"" sep:"none" env:"LEDGERD_WITNESS_LOGS" placeholder:"FILE" help:"Which logs to witness: the trust.policy of a ledger, or any file with \"log\" lines (C2SP tlog-policy); a log's ML-DSA-44 key stands in a \"witness\" line with its name. May be given several times."`
	Keys           []string `sep:"none" env:"LEDGERD_WITNESS_KEYS" placeholder:"FILE" help:"The key entries (trust.keys) of one of the logs, once its keys have been rotated. May be given several times."`
	Listen         string   `default:"127.0.0.1:8081" env:"LEDGERD_WITNESS_LISTEN" placeholder:"ADDR" help:"Where to listen; port 0 picks a free one. Default: ${default}."`
	TLSCert        string   `name:"tls-cert" env:"LEDGERD_WITNESS_TLS_CERT" placeholder:"FILE" help:"Serve TLS with this certificate and those that lead to its root (PEM). Read anew when it is replaced."`
	TLSKey         string   `name:"tls-key" env:"LEDGERD_WITNESS_TLS_KEY" placeholder:"FILE" help:"The certificate's private key (PEM), at most for its owner and group to read."`
	AllowPlainHTTP bool     `name:"allow-plain-http" env:"LEDGERD_WITNESS_ALLOW_PLAIN_HTTP" help:"Let --listen be any address although this is plain HTTP: behind a proxy that speaks TLS, or in a private network."`
	AcceptClock    bool     `env:"LEDGERD_ACCEPT_CLOCK" help:"Accept that the clock went back or jumped ahead since the newest cosignature."`
}

// Help is printed by --help below the one sentence.
func (*witnessServe) Help() string {
	return `Answers POST /add-checkpoint (C2SP tlog-witness) and, for monitors, GET /<hex SHA-256 of the log's name>/checkpoint. Logs
need no key: their signatures count. It speaks TLS with --tls-cert and --tls-key, and else plain HTTP, on loopback only
unless --allow-plain-http is given; that gives nothing away but the sizes of logs.

Of a log that signs two histories it cosigns the one that it saw first, refuses the other, and keeps both checkpoints in
the directory forks; "verify fork" explains such a file to anybody. It says so on the standard error, as JSON.

When a log's keys are rotated, its operator hands over the new trust.keys: give it as --keys and start anew. Until then
the log's new checkpoints are refused.

It does not start when its record of what it cosigned is missing or damaged, and stops when the disk or the clock fails.

Examples:

    ledgerd witness serve --data /srv/witness --logs trust.policy
    ledgerd witness serve --data /srv/witness --logs shop.policy --logs club.policy --listen :8443 \
        --tls-cert /etc/witness/tls.crt --tls-key /etc/witness/tls.key`
}

func (c *witnessServe) run(ctx context.Context, std *streams) error {
	opt := witness.Options{Dir: c.Data, AcceptClock: c.AcceptClock, Logger: slog.New(slog.NewJSONHandler(std.err, nil))}
	for _, name := range c.Logs {
		text, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("reading which logs to witness: %w", err)
		}
		logs, err := ledger.ParseLogs(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		opt.Logs = append(opt.Logs, logs...)
	}
	for _, name := range c.Keys {
		if err := follow(opt.Logs, name); err != nil {
			return err
		}
	}
	w, err := witness.Open(opt)
	if err != nil {
		return err
	}
	l, err := c.listen(opt.Logger)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	if err := c.tell(std.out, w, l.Addr()); err != nil {
		return errors.Join(err, l.Close(), w.Close())
	}
	bound := func(srv *http.Server) error { return server.BoundConnections(srv, 0) }
	if err := w.Serve(ctx, l, bound); err != nil {
		return err // a request may still run; the process ends, and with it the lock
	}
	return w.Close()
}

// Validate refuses half of a certificate.
func (c *witnessServe) Validate() error { return checkTLSFlags(c.TLSCert, c.TLSKey, c.AllowPlainHTTP) }

// listen listens over TLS, or on loopback, or as it is told.
func (c *witnessServe) listen(logger *slog.Logger) (net.Listener, error) {
	tcp, err := net.ResolveTCPAddr("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: %w", err)
	}
	if c.TLSCert == "" && !tcp.IP.IsLoopback() && !c.AllowPlainHTTP {
		return nil, fmt.Errorf("--listen %s can be reached from other machines, and this is plain HTTP: whoever stands on the way sees "+
			"what logs bring, and can hold it back. Give --tls-cert and --tls-key, listen on 127.0.0.1 behind a proxy that speaks TLS, "+
			"or give --allow-plain-http", c.Listen)
	}
	l, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if c.TLSCert == "" {
		return l, nil
	}
	over, err := server.TLSFiles{Certificate: c.TLSCert, Key: c.TLSKey}.Listener(l, logger)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return over, nil
}

// follow lets the log that a file of key entries is about, wherever it is named,
// sign with the keys in force.
func follow(logs []ledger.LogKeys, name string) error {
	file, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading the key entries of a log: %w", err)
	}
	ring, err := ledger.ParseKeyRing(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	origin, found := ring.At(0).Ed25519.Name, false
	for i := range logs {
		if logs[i].Origin() != origin {
			continue
		}
		if logs[i], err = logs[i].WithKeys(file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		found = true
	}
	if !found {
		return fmt.Errorf("%s is of the log %s, which is none of --logs", name, origin)
	}
	return nil
}

// tell says where the witness is, and how its logs stand.
func (c *witnessServe) tell(out io.Writer, w *witness.Witness, addr net.Addr) error {
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	text := fmt.Sprintf("Witnessing as %s at %s://%s\n", w.Name(), scheme, addr)
	for _, s := range w.Logs() {
		if s.Cosigned.IsZero() {
			text += fmt.Sprintf("  %s: nothing cosigned yet\n", s.Origin)
		} else {
			text += fmt.Sprintf("  %s: %d entries cosigned, %s\n", s.Origin, s.Size, s.Cosigned.Format(time.RFC3339))
		}
	}
	_, err := io.WriteString(out, text)
	return err
}
