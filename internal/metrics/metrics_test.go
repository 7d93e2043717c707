package metrics

import (
	"errors"
	"io"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// full is a ledger with everything.
func full() (Ledger, error) {
	at := time.Unix(1790000000, 500e6)
	return Ledger{Recording: true, Entries: 7, LastEntry: at, Cosigned: 5,
		Witnesses:   []Other{{Name: "https://w.example/", Entries: 5, Last: at, Failures: 2}},
		Authorities: []Other{{Name: "tsa", Entries: 3, Last: at, ClockDifference: -2 * time.Second}},
		Due:         []Due{{"request_overdue", 4, at}}, DueAsOf: at,
		Commits: &Commits{Entries: 21, Failed: 22, Slow: 23, Queue: 24, Stalled: 25 * time.Second, Free: 26, Reserve: 27, Count: 28, Seconds: 29,
			Buckets: map[float64]uint64{.5: 20, 1: 28}},
		Server: Server{Capacities: []Capacity{{Of: "app", Used: 11, Size: 512, Shed: 12}}, FailedKeys: 13, CertificateEnd: at},
		Vault: &Vault{RootGeneration: 8, IndexSince: at, ErasuresPlanned: 6, Rekeying: true, KeyBackup: true, BackupGeneration: 9, BackupAt: at,
			DataBackupAt: at, DataBackupEntries: 6},
	}, nil
}

// shown reads the numbers as Prometheus does.
func shown(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	text, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var typeLine = regexp.MustCompile(`(?m)^# TYPE (ledgerd_\S+) (\S+)$`)

// TestDocumented compares METRICS.md with what is shown: names, types and labels.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	promised := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(ledgerd_\\w+)` \\| (\\w+) \\| ([\\w, ]*)\\|").FindAllStringSubmatch(string(text), -1) {
		promised[row[1]] = row[2] + " " + strings.TrimSpace(row[3])
	}
	m := New("v1", []string{"/a"})
	m.Follow(t.TempDir(), full)
	m.Begin()("/a", 200)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "ledgerd_") {
			continue
		}
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		found[f.GetName()] = strings.TrimSpace(strings.ToLower(f.GetType().String()) + " " + strings.Join(labels, ", "))
	}
	for name, kind := range promised {
		promised[name] = strings.TrimSpace(kind)
	}
	if len(found) < 20 || !maps.Equal(promised, found) {
		t.Errorf("METRICS.md promises\n%v\nshown is\n%v", promised, found)
	}
	if problems, err := testutil.GatherAndLint(m.registry); err != nil || len(problems) > 0 {
		t.Errorf("Prometheus' linter says %v, %v", problems, err)
	}
	// Alerts name what there is.
	_, alerts, _ := strings.Cut(string(text), "```yaml")
	for _, name := range regexp.MustCompile(`ledgerd_\w+`).FindAllString(alerts, -1) {
		if promised[name] == "" {
			t.Errorf("an alert is about %s, which is not there", name)
		}
	}
}

func TestValues(t *testing.T) {
	m := New("v1", nil)
	m.Follow(t.TempDir(), full)
	text := shown(t, m)
	for _, want := range []string{
		`ledgerd_build_info{version="v1"} 1`, `ledgerd_up 1`, `ledgerd_recording 1`, `ledgerd_log_entries 7`,
		`ledgerd_log_last_entry_timestamp_seconds 1.7900000005e+09`, `ledgerd_cosigned_entries 5`,
		`ledgerd_witness_failures{witness="https://w.example/"} 2`, `ledgerd_timestamp_clock_difference_seconds{authority="tsa"} -2`,
		`ledgerd_due{what="request_overdue"} 4`, `ledgerd_vault_erasures_planned 6`, `ledgerd_vault_root_key_generation 8`, `ledgerd_key_backup_generation 9`,
		`ledgerd_recorded_entries_total 21`, `ledgerd_failed_commits_total 22`, `ledgerd_slow_commits_total 23`, `ledgerd_recording_queue 24`,
		`ledgerd_commit_stalled_seconds 25`, `ledgerd_recording_free_bytes 26`, `ledgerd_recording_reserve_bytes 27`, `ledgerd_commit_duration_seconds_count 28`,
		`ledgerd_commit_duration_seconds_sum 29`, `ledgerd_commit_duration_seconds_bucket{le="0.5"} 20`,
		`ledgerd_capacity{of="app"} 512`, `ledgerd_capacity_used{of="app"} 11`, `ledgerd_shed_total{of="app"} 12`, `ledgerd_failed_keys_total 13`,
		`ledgerd_tls_certificate_end_timestamp_seconds 1.7900000005e+09`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("not shown: %s", want)
		}
	}
	free := regexp.MustCompile(`(?m)^ledgerd_data_free_bytes (\S+)$`).FindStringSubmatch(text)
	if free == nil {
		t.Fatal("the free space is not shown")
	}
	if n, err := strconv.ParseFloat(free[1], 64); err != nil || n <= 0 {
		t.Errorf("free: %s", free[1])
	}
}

// TestLeftOut: what is not known is absent, not 0; and one who is asked and fails
// keeps nothing else from being shown.
func TestLeftOut(t *testing.T) {
	m := New("v1", nil)
	m.Follow(t.TempDir(), func() (Ledger, error) { return Ledger{Entries: 1}, nil })
	text := shown(t, m)
	var names []string
	for _, f := range typeLine.FindAllStringSubmatch(text, -1) {
		names = append(names, f[1])
	}
	want := []string{"ledgerd_build_info", "ledgerd_data_free_bytes", "ledgerd_data_free_inodes", "ledgerd_data_size_bytes", "ledgerd_failed_keys_total",
		"ledgerd_log_entries", "ledgerd_recording", "ledgerd_requests_in_flight", "ledgerd_up"}
	if !slices.Equal(names, want) {
		t.Errorf("shown are %v, want %v", names, want)
	}
	if !strings.Contains(text, "\nledgerd_recording 0\n") {
		t.Error("does not say that nothing is recorded")
	}

	m = New("v1", nil)
	m.Follow("/does/not/exist", func() (Ledger, error) { return Ledger{}, errors.New("anna@example.org") })
	text = shown(t, m)
	if !strings.Contains(text, "\nledgerd_up 0\n") || strings.Contains(text, "ledgerd_log_entries") || strings.Contains(text, "anna") {
		t.Errorf("shown is %s", text)
	}
}

// TestLabelsAreBounded sends what a hostile caller would.
func TestLabelsAreBounded(t *testing.T) {
	m := New("v1", []string{"/s/M", "/healthz"})
	for i := range 500 {
		n := strconv.Itoa(i)
		m.Begin()("/anna"+n+"@example.org", i)
		m.Begin()("/log/tile/"+n, 200)
		m.Begin()("/s/M"+n, 200)
	}
	m.Begin()("/s/M", 499)
	m.Begin()("/s/M", 0)
	text := shown(t, m)
	if strings.Contains(text, "anna") {
		t.Error("a path that a caller chose is shown")
	}
	paths, statuses := map[string]bool{}, map[string]bool{}
	for _, line := range regexp.MustCompile(`ledgerd_requests_total\{path="([^"]*)",status="([^"]*)"\}`).FindAllStringSubmatch(text, -1) {
		paths[line[1]], statuses[line[2]] = true, true
	}
	if got := slices.Sorted(maps.Keys(paths)); !slices.Equal(got, []string{"/log/", "/s/M", "other"}) {
		t.Errorf("paths are %v", got)
	}
	if len(statuses) > 70 || !statuses["none"] || !statuses["other"] || !statuses["499"] || !statuses["200"] || statuses["7"] {
		t.Errorf("statuses are %v", statuses)
	}
	if !strings.Contains(text, "\nledgerd_requests_total{path=\"/log/\",status=\"200\"} 500\n") {
		t.Error("the log is not counted as one")
	}
}

// TestStop: whoever closes the ledger is sure that nobody reads it any more.
func TestStop(t *testing.T) {
	m := New("v1", nil)
	closed := false // written after stop: the race detector sees a read that goes on
	stop := m.Follow(t.TempDir(), func() (Ledger, error) {
		if closed {
			t.Error("read after stop")
		}
		return full()
	})
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		for range 50 {
			if _, err := m.registry.Gather(); err != nil {
				t.Error(err)
			}
		}
	}()
	stop()
	closed = true
	<-reading
	if text := shown(t, m); !strings.Contains(text, "\nledgerd_up 0\n") || !strings.Contains(text, "ledgerd_data_free_bytes") {
		t.Errorf("shown after stop: %s", text)
	}
}

func TestInFlight(t *testing.T) {
	m := New("v1", nil)
	end := m.Begin()
	if !strings.Contains(shown(t, m), "\nledgerd_requests_in_flight 1\n") {
		t.Error("a request is not counted in")
	}
	end("/", 200)
	text := shown(t, m)
	if !strings.Contains(text, "\nledgerd_requests_in_flight 0\n") || !strings.Contains(text, `ledgerd_request_duration_seconds_count{path="other"} 1`) {
		t.Error("a request is not counted out")
	}
}
