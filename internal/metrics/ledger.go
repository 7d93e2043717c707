package metrics

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// Ledger is how a ledger stands. What is zero, or empty, is left out where it would
// say something wrong: a time that is not known, a number that nobody has counted.
type Ledger struct {
	Recording bool
	Entries   int64     // in the log
	LastEntry time.Time // recorded
	Cosigned  int64     // entries in the newest checkpoint that satisfies the witnesses' policy
	Witnesses []Other
	// Authorities stamp the log. ClockDifference is by how much their clock was ahead.
	Authorities []Other
	Due         []Due
	DueAsOf     time.Time // when somebody looked last
	Vault       *Vault    // nil where there is none
	Commits     *Commits  // nil where nothing can be recorded
	Server      Server
}

// Commits are how groups of entries are written to disk, since the start.
type Commits struct {
	Entries      uint64 // that were recorded
	Failed, Slow uint64
	Queue        int           // what waits to be recorded
	Stalled      time.Duration // how long the one that is slow now has lasted; 0 for none
	// Free is the room on the disk that has the least, Reserve what is kept free.
	Free, Reserve int64

	// Count is how many there were, Seconds how long they took together, and Buckets
	// how many took at most so many seconds.
	Count   uint64
	Seconds float64
	Buckets map[float64]uint64
}

// Server is how the ledger's server stands.
type Server struct {
	Capacities []Capacity
	// FailedKeys are requests without a key that works, since the start.
	FailedKeys int64
	// CertificateEnd is when the certificate that is served ends; zero for plain HTTP.
	CertificateEnd time.Time
}

// Capacity is something of which there is so much.
type Capacity struct {
	Of         string // a fixed word; they must differ
	Used, Size int64
	Shed       int64 // requests or connections that were turned away since the start
}

// Other is somebody who signs the log. Names must differ.
type Other struct {
	Name            string // out of the operator's configuration
	Entries         int64  // in what they signed last
	Last            time.Time
	Failures        int // since
	ClockDifference time.Duration
}

// Due is a number of things that somebody must do.
type Due struct {
	What   string // a fixed word
	Count  int64
	Oldest time.Time
}

// Vault is how far erasures are.
type Vault struct {
	RootGeneration   int64     // of the root key: replaced at every erasure
	IndexSince       time.Time // when the key of the blind index was; zero if it is the first one
	ErasuresPlanned  int       // begun and not carried out
	Rekeying         bool
	KeyBackup        bool // one is configured
	BackupGeneration int64
	BackupAt         time.Time
	// The data backups that are known: when the newest was begun, and how much they hold.
	DataBackupAt      time.Time
	DataBackupEntries int64
}

// Follow shows, at each reading, how the ledger in a directory stands and how much
// room its file system has. read must be quick, and safe for concurrent use. After
// stop has returned it is not called any more. Follow is called once.
func (m *Metrics) Follow(dir string, read func() (Ledger, error)) (stop func()) {
	l := &ledger{dir: dir, read: read}
	m.registry.MustRegister(l)
	return l.stop
}

type ledger struct {
	dir string

	mu   sync.RWMutex // guards read, also while it runs
	read func() (Ledger, error)
}

func (l *ledger) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read = func() (Ledger, error) { return Ledger{}, errStopped }
}

var errStopped = errors.New("the ledger is closed")

// described are all that desc made.
var described []*prometheus.Desc

func desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("ledgerd_"+name, help, labels, nil)
	described = append(described, d)
	return d
}

var (
	up        = desc("up", "1 if the ledger could be asked for the other numbers.")
	recording = desc("recording", "1 while entries are recorded, 0 while the ledger is only read.")
	entries   = desc("log_entries", "Entries in the log.")
	lastEntry = desc("log_last_entry_timestamp_seconds", "When the newest entry was recorded.")

	cosigned       = desc("cosigned_entries", "Entries in the newest checkpoint that satisfies the witnesses' policy.")
	witnessEntries = desc("witness_entries", "Entries in what the witness cosigned last.", "witness")
	witnessLast    = desc("witness_last_success_timestamp_seconds", "When the witness cosigned last, since the start.", "witness")
	witnessFailing = desc("witness_failures", "Failures in a row of the witness.", "witness")

	stampEntries = desc("timestamp_entries", "Entries in what the time-stamping authority stamped last.", "authority")
	stampLast    = desc("timestamp_last_success_timestamp_seconds", "When the authority stamped last, by its clock.", "authority")
	stampFailing = desc("timestamp_failures", "Failures in a row of the authority.", "authority")
	stampClock   = desc("timestamp_clock_difference_seconds", "How far the authority's clock is ahead; 0 while it is near enough.", "authority")

	due       = desc("due", "Things overdue or coming due; what as in ledgerd status. There is no line for none.", "what")
	dueOldest = desc("due_oldest_timestamp_seconds", "Since when, or by when, the oldest of them.", "what")
	dueAsOf   = desc("due_as_of_timestamp_seconds", "When what is due was looked at.")

	rootOf     = desc("vault_root_key_generation", "Generation of the vault's root key.")
	indexSince = desc("vault_index_key_timestamp_seconds", "When the key of the blind index was replaced last.")
	planned    = desc("vault_erasures_planned", "Erasures and other replacements of keys that were begun and are not carried out.")
	rekeying   = desc("vault_rekeying", "1 while the key of the blind index is being replaced.")
	backupOf   = desc("key_backup_generation", "Generation of the newest key backup, 0 for none yet.")
	backupAt   = desc("key_backup_timestamp_seconds", "When the vault was read for the newest key backup.")
	dataAt     = desc("data_backup_timestamp_seconds", "When the newest data backup was begun.")
	dataTo     = desc("data_backup_entries", "Entries that the data backups hold together.")

	commits       = desc("commit_duration_seconds", "How long it took to write a group of entries to disk.")
	recorded      = desc("recorded_entries_total", "Entries recorded since the start.")
	failedCommits = desc("failed_commits_total", "Commits that failed; after one nothing more is recorded.")
	slowCommits   = desc("slow_commits_total", "Commits that took more than 10 seconds.")
	stalled       = desc("commit_stalled_seconds", "How long a commit of more than 10 seconds has been going on; 0 for none.")
	queue         = desc("recording_queue", "Calls that wait to be recorded.")
	room          = desc("recording_free_bytes", "Room on the disk that has the least of those that recording needs.")
	reserve       = desc("recording_reserve_bytes", "Room below which not everything is recorded any more.")

	capacity       = desc("capacity", "How much there is of what there is only so much of: places for calls, connections, bytes of bodies.", "of")
	capacityUsed   = desc("capacity_used", "How much of it is in use.", "of")
	shed           = desc("shed_total", "Requests and connections that were turned away because there was not enough of it.", "of")
	failedKeys     = desc("failed_keys_total", "Requests without an API key that works, where one is needed.")
	certificateEnd = desc("tls_certificate_end_timestamp_seconds", "When the certificate that is served ends.")

	free   = desc("data_free_bytes", "Room that is left on the file system of the data.")
	size   = desc("data_size_bytes", "Size of the file system of the data.")
	inodes = desc("data_free_inodes", "Files that can still be made on the file system of the data.")
)

// Describe implements [prometheus.Collector].
func (l *ledger) Describe(to chan<- *prometheus.Desc) {
	for _, d := range described {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (l *ledger) Collect(to chan<- prometheus.Metric) {
	number := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	yes := func(d *prometheus.Desc, v bool) {
		n := 0.0
		if v {
			n = 1
		}
		number(d, n)
	}
	moment := func(d *prometheus.Desc, t time.Time, labels ...string) {
		if !t.IsZero() {
			number(d, float64(t.UnixMilli())/1000, labels...)
		}
	}
	var st unix.Statfs_t
	statErr := unix.Statfs(l.dir, &st)
	if statErr == nil {
		number(free, float64(st.Bavail)*float64(st.Bsize))
		number(size, float64(st.Blocks)*float64(st.Bsize))
		number(inodes, float64(st.Ffree))
	}
	l.mu.RLock()
	now, err := l.read()
	l.mu.RUnlock()
	yes(up, err == nil && statErr == nil)
	if err != nil {
		return
	}
	yes(recording, now.Recording)
	number(entries, float64(now.Entries))
	moment(lastEntry, now.LastEntry)
	if len(now.Witnesses) > 0 {
		number(cosigned, float64(now.Cosigned))
	}
	for _, w := range now.Witnesses {
		number(witnessEntries, float64(w.Entries), w.Name)
		moment(witnessLast, w.Last, w.Name)
		number(witnessFailing, float64(w.Failures), w.Name)
	}
	for _, a := range now.Authorities {
		number(stampEntries, float64(a.Entries), a.Name)
		moment(stampLast, a.Last, a.Name)
		number(stampFailing, float64(a.Failures), a.Name)
		number(stampClock, a.ClockDifference.Seconds(), a.Name)
	}
	for _, d := range now.Due {
		number(due, float64(d.Count), d.What)
		moment(dueOldest, d.Oldest, d.What)
	}
	moment(dueAsOf, now.DueAsOf)
	if c := now.Commits; c != nil {
		to <- prometheus.MustNewConstHistogram(commits, c.Count, c.Seconds, c.Buckets)
		count(recorded, float64(c.Entries))
		count(failedCommits, float64(c.Failed))
		count(slowCommits, float64(c.Slow))
		number(stalled, c.Stalled.Seconds())
		number(queue, float64(c.Queue))
		number(room, float64(c.Free))
		number(reserve, float64(c.Reserve))
	}
	for _, c := range now.Server.Capacities {
		number(capacity, float64(c.Size), c.Of)
		number(capacityUsed, float64(c.Used), c.Of)
		count(shed, float64(c.Shed), c.Of)
	}
	count(failedKeys, float64(now.Server.FailedKeys))
	moment(certificateEnd, now.Server.CertificateEnd)
	v := now.Vault
	if v == nil {
		return
	}
	number(rootOf, float64(v.RootGeneration))
	moment(indexSince, v.IndexSince)
	number(planned, float64(v.ErasuresPlanned))
	yes(rekeying, v.Rekeying)
	if v.KeyBackup {
		number(backupOf, float64(v.BackupGeneration))
		moment(backupAt, v.BackupAt)
		moment(dataAt, v.DataBackupAt)
		number(dataTo, float64(v.DataBackupEntries))
	}
}
