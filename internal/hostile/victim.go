package hostile

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Victim is a ledger's server in a process of its own, with its log public, and keys
// to it.
type Victim struct {
	Keys map[string]string // by role; and of role app "shop", who means no harm, and "hoarder"

	program   string
	data      string // its directory
	addr      string
	tls       *tls.Config // for clients; nil for plain HTTP
	operator  string      // URL of the admin listener
	log       string      // the file
	process   *exec.Cmd
	addresses atomic.Int32 // of attackers so far
	people    atomic.Int64 // who were made known meanwhile
	asking    sync.Mutex   // held while the metrics are asked
}

// Start makes a ledger in the new directory dir, with the program ledgerd, and serves it,
// with or without TLS. Stop ends it.
func Start(ctx context.Context, ledgerd, dir string, overTLS bool) (*Victim, error) {
	v := &Victim{Keys: map[string]string{}, program: ledgerd, data: filepath.Join(dir, "data"), log: filepath.Join(dir, "log")}
	var err error
	if v.Keys["admin"], err = v.makeKey(ctx, "init", "--origin", "hostile.example/ledger"); err != nil {
		return nil, err
	}
	for name, role := range map[string]string{"shop": "app", "app": "app", "hoarder": "app", "auditor": "auditor", "legal": "legal"} {
		if v.Keys[name], err = v.makeKey(ctx, "apikey", "add", "--role", role, "--name", name); err != nil {
			return nil, err
		}
	}
	args := []string{"serve", "--data", v.data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--public-log"}
	if overTLS {
		cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		if v.tls, err = makeCertificate(cert, key); err != nil {
			return nil, err
		}
		args = append(args, "--tls-cert", cert, "--tls-key", key)
	}
	if err := v.serve(args); err != nil {
		return nil, err
	}
	return v, v.prepare(ctx)
}

// run runs ledgerd on the ledger.
func (v *Victim) run(ctx context.Context, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, v.program, append(args, "--data", v.data)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("ledgerd %s: %w\n%s", args[0], err, out)
	}
	return out, err
}

// makeKey runs what shows a new key, and gives that.
func (v *Victim) makeKey(ctx context.Context, args ...string) (string, error) {
	out, err := v.run(ctx, args...)
	if err != nil {
		return "", err
	}
	at := bytes.Index(out, []byte("clk_"))
	if at < 0 {
		return "", fmt.Errorf("ledgerd %s shows no key", args[0])
	}
	return strings.Fields(string(out[at:]))[0], nil
}

// serve starts the process and waits until it says where it is.
func (v *Victim) serve(args []string) error {
	log, err := os.Create(v.log)
	if err != nil {
		return err
	}
	defer log.Close()
	v.process = exec.Command(v.program, args...)
	v.process.Stderr = log
	out, err := v.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := v.process.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	for v.operator == "" && lines.Scan() {
		_, url, _ := strings.Cut(lines.Text(), " at ")
		if metrics, ok := strings.CutSuffix(url, "/metrics"); ok {
			v.operator = metrics
		} else {
			_, v.addr, _ = strings.Cut(url, "://")
		}
	}
	if v.addr == "" || v.operator == "" {
		said, _ := os.ReadFile(v.log) // what there is of it
		return errors.Join(fmt.Errorf("ledgerd did not start: %s", said), v.process.Wait())
	}
	return nil
}

// makeCertificate writes a certificate for 127.0.0.1, and gives what clients need to
// know it.
func makeCertificate(certFile, keyFile string) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hostile"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, errors.Join(os.WriteFile(certFile, cert, 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// prepare defines what the other caller's calls name, and makes the log so long that it
// has a full tile.
func (v *Victim) prepare(ctx context.Context) error {
	client := v.client()
	defer client.CloseIdleConnections()
	if err := v.define(ctx, client, "newsletter", ""); err != nil {
		return err
	}
	return together(16, func(int) error {
		for range 20 {
			if err := v.request(ctx, client); err != nil {
				return err
			}
		}
		return nil
	})
}

// define defines a purpose, and its notice.
func (v *Victim) define(ctx context.Context, client *http.Client, purpose, more string) error {
	for _, call := range []struct{ method, body string }{
		{"DefinePurpose", fmt.Sprintf(`{"id":%q,"title":"Newsletter","marketing":true,"double_opt_in":true%s}`, purpose, more)},
		{"PublishNotice", fmt.Sprintf(`{"id":"%s-de","language":"de","text":"Ja, ich will.","purposes":[%q]}`, purpose, purpose)},
	} {
		if _, err := v.call(ctx, client, "admin", "/consent.admin.v1.AdminService/"+call.method, call.body); err != nil {
			return err
		}
	}
	return nil
}

// client is one that means no harm.
func (v *Victim) client() *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	if v.tls != nil {
		transport.TLSClientConfig = v.tls.Clone()
		transport.ForceAttemptHTTP2 = true
	}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func (v *Victim) url() string {
	if v.tls != nil {
		return "https://" + v.addr
	}
	return "http://" + v.addr
}

// call makes a call that must succeed, and gives the answer.
func (v *Victim) call(ctx context.Context, client *http.Client, key, path, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+v.Keys[key])
	rsp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	answer, err := io.ReadAll(rsp.Body)
	if err == nil && rsp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, rsp.Status, answer)
	}
	return answer, err
}

// request makes somebody new known.
func (v *Victim) request(ctx context.Context, client *http.Client) error {
	_, err := v.call(ctx, client, "shop", appPath+"RequestConsent", consentRequest(fmt.Sprintf("guest.%d@example.org", v.people.Add(1)), "newsletter"))
	return err
}

func consentRequest(email, purpose string) string {
	return fmt.Sprintf(`{"subject":{"email":%q},"purposes":[%q],"channel":"email","notice":"%s-de@1","method":"web_form"}`, email, purpose, purpose)
}

const appPath = "/consent.app.v1.ConsentService/"

// Served is how a caller fared who meant no harm.
type Served struct {
	Answered, Failed int
	P50, P99, Max    time.Duration
	Err              error // the first failure
}

// useMeanwhile checks a consent every 10 ms, over a new connection every tenth time,
// and records a request every twentieth, once at least and until ctx is done.
func (v *Victim) useMeanwhile(ctx context.Context) (s Served) {
	lasting := v.client()
	defer lasting.CloseIdleConnections()
	var took []time.Duration
	for n := 0; n == 0 || ctx.Err() == nil; n++ {
		client := lasting
		if n%10 == 0 {
			client = v.client()
		}
		// What has begun is answered, also when the attack is over.
		begin, whole := time.Now(), context.WithoutCancel(ctx)
		var err error
		if n%20 == 5 {
			err = v.request(whole, client)
		} else {
			_, err = v.call(whole, client, "shop", appPath+"CheckConsent", `{"subject":{"email":"guest.1@example.org"},"purpose":"newsletter","channel":"email"}`)
		}
		took = append(took, time.Since(begin))
		if client != lasting {
			client.CloseIdleConnections()
		}
		if err != nil {
			if s.Failed++; s.Err == nil {
				s.Err = err
			}
		} else {
			s.Answered++
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	slices.Sort(took)
	s.P50, s.P99, s.Max = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return s
}

// Load is what the server uses.
type Load struct {
	Resident   int64 // bytes
	Goroutines int
	Files      int // open
}

// load asks the metrics, which few may do at once.
func (v *Victim) load(ctx context.Context) (l Load, err error) {
	v.asking.Lock()
	defer v.asking.Unlock()
	text, err := v.ask(ctx, "/metrics")
	if err != nil {
		return l, err
	}
	for name, set := range map[string]func(float64){
		"process_resident_memory_bytes": func(f float64) { l.Resident = int64(f) },
		"go_goroutines":                 func(f float64) { l.Goroutines = int(f) },
		"process_open_fds":              func(f float64) { l.Files = int(f) },
	} {
		_, rest, ok := strings.Cut(string(text), "\n"+name+" ")
		value, _, _ := strings.Cut(rest, "\n")
		f, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			return l, fmt.Errorf("metrics: no %s", name)
		}
		set(f)
	}
	return l, nil
}

// ask asks the admin listener.
func (v *Victim) ask(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.operator+path, nil)
	if err != nil {
		return nil, err
	}
	rsp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(rsp.Body)
	if err == nil && rsp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, rsp.Status)
	}
	return text, err
}

// watch gives the most of each until ctx is done, looking every 50 ms.
func (v *Victim) watch(ctx context.Context, most Load) Load {
	for ctx.Err() == nil {
		// An answer that does not come is the other caller's to notice, too.
		if l, err := v.load(context.WithoutCancel(ctx)); err == nil {
			most = Load{max(most.Resident, l.Resident), max(most.Goroutines, l.Goroutines), max(most.Files, l.Files)}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return most
}

// logged is how long the log is.
func (v *Victim) logged() int64 {
	info, err := os.Stat(v.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

// newAddress gives an address that no attacker had.
func (v *Victim) newAddress() string {
	n := v.addresses.Add(1)
	return fmt.Sprintf("127.7.%d.%d", n/250, 1+n%250)
}

// Stop looks for what attackers sent in what the server has written and shows, and ends
// it, as an operator does.
func (v *Victim) Stop(ctx context.Context) error {
	var wrong []error
	for _, path := range []string{"/metrics", "/debug/pprof/heap", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline",
		"/debug/pprof/trace?seconds=1"} {
		text, err := v.ask(ctx, path)
		if err == nil {
			err = v.search(text)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
		}
	}
	wrong = append(wrong, v.process.Process.Signal(syscall.SIGTERM), v.process.Wait())
	log, err := os.ReadFile(v.log)
	if err == nil {
		err = v.search(log)
	}
	for line := range bytes.Lines(log) {
		if !json.Valid(line) {
			wrong = append(wrong, fmt.Errorf("the log: no JSON: %.200q", line))
		}
		if bytes.Contains(line, []byte("panic")) {
			wrong = append(wrong, fmt.Errorf("the log: %.600q", line))
		}
	}
	return errors.Join(append(wrong, err)...)
}

// search looks for what attackers sent, and who they are.
func (v *Victim) search(text []byte) error {
	needles := []string{Canary, "guest.", "127.7."}
	for _, key := range v.Keys {
		needles = append(needles, key)
	}
	for _, needle := range needles {
		if at := bytes.Index(text, []byte(needle)); at >= 0 {
			return fmt.Errorf("holds %q: %.200q", needle, text[max(0, at-80):])
		}
	}
	return nil
}
