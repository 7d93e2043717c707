package main

import (
	"github.com/consentledger/consentledger/internal/metrics"
	"github.com/consentledger/consentledger/internal/service"
	"github.com/consentledger/consentledger/ledger/store"
)

// measureLedger gives what tells how a ledger stands, for the metrics.
func (s *serving) measureLedger(svc *service.Service) func() (metrics.Ledger, error) {
	return func() (metrics.Ledger, error) {
		status, err := svc.Status()
		if err != nil {
			return metrics.Ledger{}, err
		}
		m := s.measureLog(svc.Log())
		m.Recording = status.Fault == nil
		r := svc.Recording()
		m.Commits = &metrics.Commits{Entries: r.Entries, Failed: r.Failed, Slow: r.Slow, Queue: r.Queue, Stalled: r.Stalled, Free: r.Free, Reserve: r.Reserve,
			Count: r.Commit.Count, Seconds: r.Commit.Sum, Buckets: r.Commit.Buckets}
		v, b := status.Vault, status.KeyBackup
		m.Vault = &metrics.Vault{RootGeneration: int64(v.Generation), IndexSince: v.IndexSince, ErasuresPlanned: v.Planned, Rekeying: v.Reindexing,
			KeyBackup: b.Target, BackupGeneration: int64(b.Generation), BackupAt: b.At}
		if data := status.Backup; data != nil {
			m.Vault.DataBackupAt, m.Vault.DataBackupEntries = data.At, int64(data.To)
		}
		if status.Watch != nil {
			m.DueAsOf = status.Watch.AsOf
			for _, item := range status.Watch.Items {
				m.Due = append(m.Due, metrics.Due{What: item.What, Count: int64(item.Count), Oldest: item.Oldest})
			}
		}
		return m, nil
	}
}

// measureLog tells how a log stands, and those who sign it.
func (s *serving) measureLog(log *store.Store) metrics.Ledger {
	snap := log.Snapshot()
	defer snap.Release()
	chain := snap.Chain()
	m := metrics.Ledger{Entries: int64(snap.Size()), LastEntry: chain.Last(), Server: s.measureServer()}
	if s.witnesses != nil {
		cosigning := s.witnesses.Status()
		m.Cosigned = int64(cosigning.Size)
		for _, w := range cosigning.Witnesses {
			m.Witnesses = append(m.Witnesses, metrics.Other{Name: w.URL, Entries: int64(w.Size), Last: w.LastSuccess, Failures: w.Failures})
		}
	}
	if s.stamper != nil {
		for _, a := range s.stamper.Status() {
			m.Authorities = append(m.Authorities, metrics.Other{Name: a.Name, Entries: int64(a.Size), Last: a.Time, Failures: a.Failures, ClockDifference: a.ClockDifference})
		}
	}
	return m
}

// measureServer tells how busy the server is, and who is turned away.
func (s *serving) measureServer() metrics.Server {
	m := metrics.Server{FailedKeys: s.server.FailedKeys(), CertificateEnd: s.server.CertificateEnd()}
	for of, load := range s.server.Loads() {
		m.Capacities = append(m.Capacities, metrics.Capacity{Of: of, Used: load.Used, Size: load.Size, Shed: load.Shed})
	}
	return m
}
