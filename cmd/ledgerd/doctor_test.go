package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/authn"
	"github.com/consentledger/consentledger/internal/backup"
	"github.com/consentledger/consentledger/ledger/store"
)

// patient is a ledger on a machine of which nothing is to be said. All paths are
// absolute.
type patient struct {
	*testing.T
	command  serveCommand
	doctor   doctor
	now      time.Time             // as the machine sees it
	volumes  map[string]fileSystem // by the directory under which they are mounted
	dir      string
	swaps    string
	pattern  string
	sysFiles map[string]string // under sys
	admin    string            // the administrator's API key
}

// newPatient makes one. files are those of a new ledger's directory: that of the log
// and of the vault are not looked into.
func newPatient(t *testing.T, files map[string][]byte) *patient {
	p := &patient{T: t, dir: t.TempDir(), now: time.Now(), sysFiles: map[string]string{},
		swaps: "Filename\tType\tSize\tUsed\tPriority\n", pattern: "core\n", volumes: map[string]fileSystem{}}
	data := filepath.Join(p.dir, "data")
	for i, name := range []string{"data", "root", "backup", "identity", "conf"} {
		path := filepath.Join(p.dir, name)
		p.check(os.MkdirAll(path, 0o700))
		p.volumes[name] = fileSystem{magic: 0xef53, free: 50 << 30, size: 100 << 30, inodes: 1e6, hasInodes: true, device: unix.Mkdev(8, uint32(i))}
	}
	for name, text := range files {
		p.write("data/"+name, string(text))
	}
	for _, path := range []string{p.dir, filepath.Dir(p.dir)} {
		p.check(os.Chmod(path, 0o700))
	}
	p.check(os.Rename(filepath.Join(data, "root.key"), p.path("root/root.key")))
	policy, err := os.ReadFile(filepath.Join(data, "trust.policy"))
	p.check(err)
	p.write("conf/policy", string(policy))
	p.write("conf/tsa.pem", selfSigned(t))
	p.write("conf/authorities", "authority main http://127.0.0.1:1/ tsa.pem\n")
	p.write("conf/networks", "192.0.2.0/24\n")
	c := &p.command
	c.Data, c.RootKey, c.BackupTarget, c.BackupKey = data, p.path("root/root.key"), p.path("backup"), p.path("identity/key")
	c.WitnessPolicy, c.TimestampAuthorities, c.DatacentreRanges = p.path("conf/policy"), p.path("conf/authorities"), p.path("conf/networks")
	c.Listen, c.AdminListen, c.IndexLag = "127.0.0.1:8080", "[::1]:9090", span(72*time.Hour)
	p.doctor.machine = machine{proc: p.path("proc"), sys: p.path("sys"), now: func() time.Time { return p.now }, user: os.Geteuid(),
		coreLimit: func() (uint64, error) { return 0, nil }, inSync: func() (bool, error) { return true, nil }, fileSystem: p.fileSystem}
	if p.doctor.machine.user == 0 {
		p.doctor.machine.user = 1000
	}
	p.backUp(time.Hour)
	p.own()
	return p
}

// later lets days pass, on the last of which the data were backed up.
func (p *patient) later(days int) {
	p.now = p.now.AddDate(0, 0, days)
	p.backUp(0)
}

// backUp begins a chain of data backups, so long ago.
func (p *patient) backUp(ago time.Duration) {
	p.Helper()
	p.check(os.RemoveAll(p.path("backup/data-000001.backup")))
	w, err := backup.Create(p.path("backup"), backup.Head{Number: 1, At: p.now.Add(-ago).UTC(), Origin: "doctor.example/ledger", To: 1, Generation: 1})
	p.check(err)
	_, err = w.Finish()
	p.check(err)
}

func (p *patient) path(name string) string { return filepath.Join(p.dir, name) }

func (p *patient) check(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *patient) write(name, text string) {
	p.Helper()
	p.check(os.MkdirAll(filepath.Dir(p.path(name)), 0o700))
	p.check(os.WriteFile(p.path(name), []byte(text), 0o600))
}

// fileSystem gives what the path is said to lie on.
func (p *patient) fileSystem(path string) (fileSystem, error) {
	if _, err := statFileSystem(path); err != nil {
		return fileSystem{}, err
	}
	rel, err := filepath.Rel(p.dir, path)
	name, _, _ := strings.Cut(rel, "/")
	f, ok := p.volumes[name]
	if err != nil || !ok {
		p.Errorf("asked for %s", path)
	}
	return f, nil
}

// on changes a volume.
func (p *patient) on(volume string, change func(*fileSystem)) {
	f := p.volumes[volume]
	change(&f)
	p.volumes[volume] = f
}

// examine gives the findings as "level check: found".
func (p *patient) examine() []string {
	p.write("proc/swaps", p.swaps)
	p.write("proc/sys/kernel/core_pattern", p.pattern)
	for name, text := range p.sysFiles {
		p.write("sys/"+name, text)
	}
	p.doctor.lookAtFiles(&p.command)
	p.doctor.lookAtMachine(filepath.Join(p.command.Data, store.HeadName))
	p.doctor.lookAtSettings(&p.command, p.now)
	var list []string
	for _, f := range p.doctor.found {
		if f.Found == "" || f.Remedy == "" {
			p.Errorf("a finding without words: %+v", f)
		}
		list = append(list, f.Level+" "+f.Check+": "+f.Found)
	}
	return list
}

// tls has the server serve a certificate that ends after a time.
func (p *patient) tls(name string, ends time.Duration) {
	p.command.TLSCert, p.command.TLSKey = p.path("tls/"+name+".crt"), p.path("tls/"+name+".key")
	public, private, err := ed25519.GenerateKey(rand.Reader)
	p.check(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(ends)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	p.check(err)
	key, err := x509.MarshalPKCS8PrivateKey(private)
	p.check(err)
	p.write("tls/"+name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	p.write("tls/"+name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}

// key makes an API key.
func (p *patient) key(name string, opt authn.Options) {
	_, err := authn.Add(p.path("data/apikeys"), name, authn.App, opt)
	p.check(err)
	p.own()
}

// use has a server see the key of the administrator.
func (p *patient) use() {
	keys, err := authn.Load(p.path("data/apikeys"), slog.New(slog.DiscardHandler))
	p.check(err)
	if _, _, ok := keys.Authenticate(p.admin); !ok {
		p.Fatal("the key does not work")
	}
	keys.WriteUses()
	p.own()
}

// own gives all data to the server's user, who is not root.
func (p *patient) own() {
	if os.Geteuid() != 0 {
		return
	}
	p.check(filepath.WalkDir(p.command.Data, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, p.doctor.machine.user, p.doctor.machine.user))
	}))
}

func selfSigned(t *testing.T) string {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tsa"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// illness changes one thing about a patient; what is then found is exactly the list.
type illness struct {
	infect func(p *patient)
	found  []string // patterns, in this order
}

var illnesses = map[string]illness{
	"healthy": {func(*patient) {}, nil},

	"directory open":      {func(p *patient) { p.check(os.Chmod(p.command.Data, 0o755)) }, []string{`^unwise permissions: others may look into .*data \(mode 0755\)`}},
	"directory writable":  {func(p *patient) { p.check(os.Chmod(p.command.Data, 0o770)) }, []string{`^wrong permissions: others may write .*data$`}},
	"file writable":       {func(p *patient) { p.check(os.Chmod(p.path("data/trust.policy"), 0o666)) }, []string{`^wrong permissions: others may write .*trust\.policy$`}},
	"signing keys open":   {func(p *patient) { p.check(os.Chmod(p.path("data/signing.keys"), 0o640)) }, []string{`^wrong permissions: others may read .*signing\.keys$`}},
	"owner":               {func(p *patient) { p.doctor.machine.user = 4711 }, []string{`^unwise permissions: user 4711 looks at a ledger of user \d+$`}},
	"way to data open":    {func(p *patient) { p.check(os.Chmod(p.dir, 0o777)) }, slices.Repeat([]string{`^wrong .*: others may write .*, and so put something else in the place of `}, 5)},
	"way to data sticky":  {func(p *patient) { p.check(os.Chmod(p.dir, 0o777|os.ModeSticky)) }, nil},
	"data on NFS":         {func(p *patient) { p.on("data", func(f *fileSystem) { f.magic = nfsMagic }) }, []string{`^wrong data: .* lies on NFS`}},
	"data on FUSE":        {func(p *patient) { p.on("data", func(f *fileSystem) { f.magic = fuseMagic }) }, []string{`^unwise data: .* lies on FUSE`}},
	"data in memory":      {func(p *patient) { p.on("data", func(f *fileSystem) { f.magic = tmpfsMagic }) }, []string{`^wrong data: .* lies on tmpfs`}},
	"data in a container": {func(p *patient) { p.on("data", func(f *fileSystem) { f.magic = overlayMagic }) }, []string{`^wrong data: .* overlayfs`}},
	"disk full":           {func(p *patient) { p.on("data", func(f *fileSystem) { f.free = 1<<30 - 1 }) }, []string{`^wrong data: .* room for 1023 MiB only$`}},
	"disk nearly full":    {func(p *patient) { p.on("data", func(f *fileSystem) { f.free = 4<<30 - 1 }) }, []string{`^unwise data: .* room for 4095 MiB, 3 % of it$`}},
	"large disk nearly full": {func(p *patient) { p.on("data", func(f *fileSystem) { f.free, f.size = 40<<30, 1000<<30 }) },
		[]string{`^unwise data: .* room for 40960 MiB, 4 % of it$`}},
	"no more files":        {func(p *patient) { p.on("data", func(f *fileSystem) { f.inodes = 9_999 }) }, []string{`^unwise data: .* only 9999 more files$`}},
	"files without number": {func(p *patient) { p.on("data", func(f *fileSystem) { f.inodes, f.hasInodes = 0, false }) }, nil},
	"backup disk full":     {func(p *patient) { p.on("backup", func(f *fileSystem) { f.free = 0 }) }, []string{`^wrong key backup: .* room for 0 MiB only$`}},

	"root key gone": {func(p *patient) { p.check(os.Remove(p.command.RootKey)) }, []string{`^wrong root key: it is not where it should be: `}},
	"root key open": {func(p *patient) { p.check(os.Chmod(p.command.RootKey, 0o604)) }, []string{`^wrong root key: others may access .* \(mode 0604\)$`}},
	"root key beside": {func(p *patient) { p.on("root", func(f *fileSystem) { f.device = p.volumes["data"].device }) },
		[]string{`^unwise root key: it lies on the same volume as .*: a snapshot`}},
	"root key on btrfs":  {func(p *patient) { p.on("root", func(f *fileSystem) { f.magic = btrfsMagic }) }, []string{`^wrong root key: .* btrfs: .*snapshot`}},
	"root key on ZFS":    {func(p *patient) { p.on("root", func(f *fileSystem) { f.magic = zfsMagic }) }, []string{`^wrong root key: .* ZFS`}},
	"root key in memory": {func(p *patient) { p.on("root", func(f *fileSystem) { f.magic = tmpfsMagic }) }, []string{`^wrong root key: .* tmpfs: .*next start`}},
	"root key on LVM":    {func(p *patient) { p.sysFiles["dev/block/8:1/dm/uuid"] = "LVM-abc\n" }, []string{`^unwise root key: it lies on a logical volume`}},
	"root key in data": {func(p *patient) {
		p.check(os.Rename(p.command.RootKey, p.path("data/root.key")))
		p.command.RootKey = ""
		p.check(os.Lchown(p.path("data/root.key"), p.doctor.machine.user, -1))
	}, []string{`^unwise root key: it lies on the same volume`}},

	"no key backup":   {func(p *patient) { p.command.BackupTarget, p.command.BackupKey = "", "" }, []string{`^unwise key backup: there is none`}},
	"no data backup":  {func(p *patient) { p.check(os.Remove(p.path("backup/data-000001.backup"))) }, []string{`^unwise data backup: there is none in `}},
	"old data backup": {func(p *patient) { p.backUp(49 * time.Hour) }, []string{`^unwise data backup: the newest in .* is of 20`}},
	"chain broken": {func(p *patient) {
		p.check(os.Rename(p.path("backup/data-000001.backup"), p.path("backup/data-000002.backup")))
	}, []string{`^wrong data backup: .*there is no .*data-000001.backup`}},
	"backup gone":     {func(p *patient) { p.check(os.RemoveAll(p.command.BackupTarget)) }, []string{`^wrong key backup: .*no such file`}},
	"backup beside":   {func(p *patient) { p.on("backup", func(f *fileSystem) { f.device = p.volumes["data"].device }) }, []string{`^unwise key backup: .* lost together$`}},
	"identity beside": {func(p *patient) { p.on("identity", func(f *fileSystem) { f.device = p.volumes["backup"].device }) }, []string{`^wrong key backup: .*identity/key lies on the same volume`}},
	"identity open": {func(p *patient) { p.write("identity/key", ""); p.check(os.Chmod(p.command.BackupKey, 0o640)) },
		[]string{`^wrong key backup: others may access .*identity/key \(mode 0640\)$`}},

	"root user":      {func(p *patient) { p.doctor.machine.user = 0 }, []string{`^unwise user: this runs as root`}},
	"swap":           {func(p *patient) { p.swaps += "/dev/sda3 partition 1 0 -2\n/swapfile file 1 0 -3\n" }, []string{`^unwise swap: /dev/sda3 `, `^unwise swap: /swapfile `}},
	"swap in memory": {func(p *patient) { p.swaps += "/dev/zram0 partition 1 0 -2\n" }, nil},
	"swap on plain dm": {func(p *patient) {
		p.swaps += "/dev/dm-1 partition 1 0 -2\n"
		p.sysFiles["class/block/dm-1/dm/uuid"] = "LVM-x\n"
	}, []string{`^unwise swap: /dev/dm-1 `}},
	"swap encrypted": {func(p *patient) {
		p.swaps += "/dev/dm-1 partition 1 0 -2\n"
		p.sysFiles["class/block/dm-1/dm/uuid"] = "CRYPT-PLAIN-swap\n"
	}, nil},
	"core dumps":            {func(p *patient) { p.doctor.machine.coreLimit = func() (uint64, error) { return 1, nil } }, []string{`^unwise core dumps: they are allowed here, and go to "core"`}},
	"core dumps piped":      {func(p *patient) { p.pattern = "|/bin/crash %p\n" }, []string{`^unwise core dumps: they are given to a program \(\|/bin/crash %p\)`}},
	"core dumps by systemd": {func(p *patient) { p.pattern = "|/lib/systemd/systemd-coredump %P\n" }, nil},
	"core dumps unknown":    {func(p *patient) { p.doctor.machine.coreLimit = func() (uint64, error) { return 0, errors.New("no") } }, []string{`^unwise core dumps: .* cannot be seen: no$`}},
	"traceback":             {func(p *patient) { p.doctor.machine.traceback = "crash" }, []string{`^wrong core dumps: GOTRACEBACK=crash`}},
	"clock free":            {func(p *patient) { p.doctor.machine.inSync = func() (bool, error) { return false, nil } }, []string{`^unwise clock: nothing keeps`}},
	"clock unknown":         {func(p *patient) { p.doctor.machine.inSync = func() (bool, error) { return true, errors.New("no") } }, []string{`^unwise clock: .* cannot be seen: no$`}},
	"clock back":            {func(p *patient) { p.now = p.now.Add(-time.Hour) }, []string{`^wrong clock: the newest entry was written at 20.* UTC, and now it is 20.* UTC: the clock went back$`}},

	"plain HTTP": {func(p *patient) { p.command.Listen, p.command.AllowPlainHTTP = "0.0.0.0:8080", true },
		[]string{`^unwise --listen: 0\.0\.0\.0:8080 may be reached .* over plain HTTP`}},
	"plain HTTP, not allowed": {func(p *patient) { p.command.Listen = "0.0.0.0:8080" }, []string{`^wrong --listen: the server will not start: 0\.0\.0\.0:8080 `}},
	"open admin":              {func(p *patient) { p.command.AdminListen, p.command.AllowOpenAdmin = ":9090", true }, []string{`^unwise --admin-listen: :9090 takes no key`}},
	"open admin, not allowed": {func(p *patient) { p.command.AdminListen = ":9090" }, []string{`^wrong --admin-listen: the server will not start: :9090 `}},
	"TLS":                     {func(p *patient) { p.tls("tls", 15*24*time.Hour); p.command.Listen = "0.0.0.0:443" }, nil},
	"TLS, ends soon":          {func(p *patient) { p.tls("tls", 13*24*time.Hour) }, []string{`^unwise --tls-cert: .*tls/tls\.crt ends at 20.* UTC$`}},
	"TLS, ended":              {func(p *patient) { p.tls("tls", -time.Hour) }, []string{`^wrong --tls-cert: .* it ended at `}},
	"TLS, key open":           {func(p *patient) { p.tls("tls", 15*24*time.Hour); p.check(os.Chmod(p.command.TLSKey, 0o644)) }, []string{`^wrong --tls-cert: TLS key: .*mode 0644.*chmod 0640`}},
	"TLS, key of another": {func(p *patient) {
		p.tls("other", time.Hour)
		key := p.command.TLSKey
		p.tls("tls", 15*24*time.Hour)
		p.command.TLSKey = key
	}, []string{`^wrong --tls-cert: .*does not match`}},
	"TLS, way open": {func(p *patient) { p.tls("tls", 15*24*time.Hour); p.check(os.Chmod(p.path("tls"), 0o770)) }, []string{
		`^wrong --tls-cert: others may write .*tls, and so`, `^wrong --tls-key: others may write .*tls, and so`}},
	"no admin":        {func(p *patient) { p.command.AdminListen = "" }, nil},
	"clock accepted":  {func(p *patient) { p.command.AcceptClock = true }, []string{`^unwise --accept-clock: `}},
	"index lag":       {func(p *patient) { p.command.IndexLag = span(96 * time.Hour) }, []string{`^unwise --index-lag: .* 96h0m0s$`}},
	"no witness":      {func(p *patient) { p.command.WitnessPolicy = "" }, []string{`^unwise --witness-policy: nobody cosigns`}},
	"bad policy":      {func(p *patient) { p.write("conf/policy", "nonsense\n") }, []string{`^wrong --witness-policy: `}},
	"no authority":    {func(p *patient) { p.command.TimestampAuthorities = "" }, []string{`^unwise --timestamp-authorities: nobody stamps`}},
	"bad authorities": {func(p *patient) { p.check(os.Remove(p.path("conf/tsa.pem"))) }, []string{`^wrong --timestamp-authorities: `}},
	"networks open":   {func(p *patient) { p.check(os.Chmod(p.path("conf/networks"), 0o602)) }, []string{`^wrong --datacentre-ranges: others may write .*networks$`}},
	"bad networks":    {func(p *patient) { p.write("conf/networks", "everywhere\n") }, []string{`^wrong --datacentre-ranges: `}},
	"key for ever":    {func(p *patient) { p.key("shop", authn.Options{}) }, []string{`^unwise API keys: .* without an end are shop$`}},
	"key ends soon":   {func(p *patient) { p.key("shop", authn.Options{Expires: p.now.Add(13 * 24 * time.Hour)}) }, []string{`^unwise API keys: soon refused are shop \(20.* UTC\)$`}},
	"key ended": {func(p *patient) {
		p.key("shop", authn.Options{Expires: p.now.Add(time.Minute)})
		p.now = p.now.Add(time.Hour)
	}, nil},
	"key revoked": {func(p *patient) {
		p.key("shop", authn.Options{})
		p.check(authn.Revoke(p.path("data/apikeys"), "shop"))
	}, nil},
	"key replaced": {func(p *patient) {
		p.key("shop", authn.Options{})
		p.key("shop", authn.Options{Replace: true, Overlap: time.Hour, Expires: p.now.Add(30 * 24 * time.Hour)})
	}, nil},
	"key unused":       {func(p *patient) { p.later(90) }, []string{`^unwise API keys: not used for 90 days are admin$`}},
	"key used":         {func(p *patient) { p.use(); p.later(89) }, nil},
	"key unused since": {func(p *patient) { p.use(); p.later(91) }, []string{`^unwise API keys: not used for 90 days are admin$`}},
	"uses unreadable": {func(p *patient) {
		p.write("data/apikeys.used", "nonsense\n")
		p.own()
		p.later(90)
	},
		[]string{`^unwise API keys: when they were used last cannot be read: .*apikeys\.used: line 1`}},
	"bad keys": {func(p *patient) { p.check(os.Truncate(p.path("data/apikeys"), 9)) }, []string{`^wrong API keys: .*the last line has no end`}},
	"no keys":  {func(p *patient) { p.check(os.Remove(p.path("data/apikeys"))) }, []string{`^wrong API keys: .*restore it from a backup`}},
	"log only": {func(p *patient) {
		c := &p.command
		c.LogOnly, c.RootKey, c.BackupTarget, c.BackupKey, c.TimestampAuthorities = true, "/does/not/exist", "", "", ""
	}, []string{`^unwise --log-only: nothing is recorded`}},
}

// TestDoctor infects one patient after the other.
func TestDoctor(t *testing.T) {
	made := filepath.Join(t.TempDir(), "data")
	if _, err := createLedger(made, "ledger.example.com", ""); err != nil {
		t.Fatal(err)
	}
	admin, err := authn.Add(apiKeys(made), "admin", authn.Admin, authn.Options{Replace: true, Expires: time.Now().Add(300 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"vault/file": nil}
	list, err := os.ReadDir(made)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if f.Type().IsRegular() {
			if files[f.Name()], err = os.ReadFile(filepath.Join(made, f.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, ill := range illnesses {
		t.Run(name, func(t *testing.T) {
			p := newPatient(t, files)
			p.admin = admin
			ill.infect(p)
			found := p.examine()
			if len(found) != len(ill.found) {
				t.Fatalf("found are\n%s\nwant %d", strings.Join(found, "\n"), len(ill.found))
			}
			for i, want := range ill.found {
				if !regexp.MustCompile(want).MatchString(found[i]) {
					t.Errorf("found is %q, want %s", found[i], want)
				}
			}
		})
	}
}

// TestDoctorSeesThisMachine: what is asked of the kernel can be asked.
func TestDoctorSeesThisMachine(t *testing.T) {
	m := thisMachine()
	f, err := m.fileSystem(t.TempDir())
	if err != nil || f.size == 0 || f.free > f.size || f.magic == 0 {
		t.Errorf("file system: %+v, %v", f, err)
	}
	if _, err := m.coreLimit(); err != nil {
		t.Errorf("core limit: %v", err)
	}
	if _, err := m.inSync(); err != nil {
		t.Errorf("clock: %v", err)
	}
	if _, err := m.fileSystem("/does/not/exist"); err == nil {
		t.Error("a file system of nothing")
	}
}

// TestDoctorTakesTheServersFlags: all of them, and those of its own are no settings.
func TestDoctorTakesTheServersFlags(t *testing.T) {
	withoutEnvironment(t)
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]map[string]bool{}
	for _, n := range parser.Model.Children {
		names[n.Name] = map[string]bool{}
		for _, f := range n.Flags {
			names[n.Name][f.Name] = true
		}
	}
	own := map[string]bool{"strict": true, "json": true}
	maps.Copy(own, names["serve"])
	if !maps.Equal(names["doctor"], own) {
		t.Errorf("doctor takes %v, want %v", names["doctor"], own)
	}
	for _, name := range []string{"strict", "json"} {
		path := writeConfig(t, "data = d\n"+name+" = true\n")
		if _, err := parser.Parse([]string{"doctor", "--config", path}); err == nil || !strings.Contains(err.Error(), "line 2: there is no setting") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
