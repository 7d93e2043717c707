package server

import (
	"container/list"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// filesLeft is how many open files are left for the ledger's own: tables, logs, the
// vault.
const filesLeft = 2048

// maxConnections checks what was asked for against what the system lets this
// process open; 0 asks for 10,000 or what there is.
func maxConnections(asked int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("asking how many files may be open: %w", err)
	}
	// A system that allows fewer than that for the ledger alone gets half of it.
	most := max(int64(limit.Cur)-filesLeft, int64(limit.Cur)/2)
	if limit.Cur > 1<<40 { // as good as no limit
		most = 1 << 40
	}
	if asked == 0 {
		return int(min(10_000, most)), nil
	}
	if int64(asked) > most {
		return 0, fmt.Errorf("%d connections are more than the %d that this process may have, by its limit of %d open files; "+
			"raise it (ulimit -n, or LimitNOFILE= in systemd) or allow fewer", asked, most, limit.Cur)
	}
	return asked, nil
}

// BoundConnections bounds the connections of a server other than [Server] as
// [Options.MaxConnections] says.
func BoundConnections(srv *http.Server, most int) error {
	most, err := maxConnections(most)
	if err != nil {
		return err
	}
	srv.ConnState = newConnections(most).changed
	return nil
}

// connections bounds how many connections there are. Beyond that the one goes that
// has waited longest for a request of its client: idle, or with a header that does
// not end. So those who open connections and say little shut nobody out.
type connections struct {
	most int

	mu      sync.Mutex // guards what follows
	open    map[net.Conn]*list.Element
	waiting *list.List // net.Conn, the one that waits longest first
	closed  int64      // how many had to go
}

func newConnections(most int) *connections {
	return &connections{most: most, open: make(map[net.Conn]*list.Element), waiting: list.New()}
}

// changed is [http.Server.ConnState].
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, known := c.open[conn]
	if at != nil {
		c.waiting.Remove(at)
		c.open[conn] = nil
	}
	switch {
	case state == http.StateNew, state == http.StateIdle && known:
		c.open[conn] = c.waiting.PushBack(conn)
	case state == http.StateClosed, state == http.StateHijacked:
		delete(c.open, conn)
	}
	for len(c.open) > c.most && c.waiting.Len() > 0 {
		oldest := c.waiting.Remove(c.waiting.Front()).(net.Conn)
		delete(c.open, oldest)
		c.closed++
		if over, ok := oldest.(*tls.Conn); ok {
			oldest = over.NetConn() // without a last word that might have to wait
		}
		_ = oldest.Close() // it is gone either way
	}
}

func (c *connections) load() Load {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Load{int64(len(c.open)), int64(c.most), c.closed}
}
