package vault

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentledger/consentledger/ledger"
)

// BenchmarkBackupKeys backs up the keys of 20,000 people with one consent and
// two identifiers each, reading back included.
func BenchmarkBackupKeys(b *testing.B) {
	base := makePlaces(b)
	opt := backedOptions(base)
	opt.MemTableBytes = 0
	s := newStory(b, newVault(b, opt))
	s.add(manyPeople)
	for b.Loop() {
		_, people, err := s.v.BackupKeys()
		check(b, err)
		if people != manyPeople {
			b.Fatalf("%d people", people)
		}
	}
	info := must[fs.FileInfo](b)(os.Stat(filepath.Join(base, "target", fmt.Sprintf(backupName, 1))))
	b.ReportMetric(float64(info.Size()), "bytes")
	b.ReportMetric(float64(info.Size())/manyPeople, "bytes/person")
}

// BenchmarkRestore restores 20,000 people with three claims each.
func BenchmarkRestore(b *testing.B) {
	base := makePlaces(b)
	opt := backedOptions(base)
	opt.MemTableBytes = 0
	s := newStory(b, newVault(b, opt))
	s.add(manyPeople)
	_, _, err := s.v.BackupKeys()
	check(b, err)
	check(b, s.v.Close())
	for b.Loop() {
		b.StopTimer()
		at := rescue(b, base, base)
		o := restoreIn(at, 1, ledger.Size(len(s.leaves)), s.leaf())
		o.Vault.MemTableBytes = 0
		b.StartTimer()
		if r := must[RestoreReport](b)(Restore(o)); r.People != manyPeople {
			b.Fatalf("%d people", r.People)
		}
		b.StopTimer()
		check(b, os.RemoveAll(at))
		b.StartTimer()
	}
}
