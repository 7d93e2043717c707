package hostile

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// goodPaths are files of the log, in their one spelling.
var goodPaths = []string{"/log/checkpoint", "/log/trust.keys", "/log/tile/0/000", "/log/tile/entries/000"}

// badPaths lead out of the log, or spell what is there in another way, or name what is
// not.
var badPaths = []string{
	"/log/../log/checkpoint", "/log/./checkpoint", "/log//checkpoint", "//log/checkpoint", "/log/checkpoint/", "/log/checkpoint//", "/log/checkpoint/.", "/log/checkpoint/..",
	"/log/%2e%2e/log/checkpoint", "/log/%2E/checkpoint", "/log%2fcheckpoint", "/log%2Fcheckpoint", "/log/%63heckpoint", "/%6cog/checkpoint", "/log/tile%2f0%2f000",
	"/log/checkpoint%00", "/log/checkpoint%00.txt", "/log/checkpoint%20", "/log/checkpoint%0a", "/log/checkpoint;a=b", "/log/checkpoint.gz", "/log/checkpoint~",
	"/log/Checkpoint", "/LOG/checkpoint", "/log\\checkpoint", "/log/..%5ccheckpoint", "/log/..;/log/checkpoint", "/log/%c0%ae%c0%ae/checkpoint", "/log/%ef%bc%8e%ef%bc%8e/checkpoint",
	"/log/%252e%252e/checkpoint", "/log/..%252fcheckpoint", "/log/....//checkpoint",
	"/log", "/log/", "/log/tile", "/log/tile/", "/log/tile/0", "/log/tile/0/", "/log/tile/entries", "/log/tile/entries/", "/log/notices", "/log/notices/",
	"/log/tile/0/0", "/log/tile/0/00", "/log/tile/0/0000", "/log/tile/00/000", "/log/tile/+0/000", "/log/tile/-0/000", "/log/tile/-1/000", "/log/tile/0/-01", "/log/tile/0/+00",
	"/log/tile/0/%30%30%30", "/log/tile/0x0/000", "/log/tile/0/0x0", "/log/tile/0/1e2", "/log/tile/0/٠٠٠", "/log/tile/0/%d9%a0%d9%a0%d9%a0", "/log/tile/0/ 00",
	"/log/tile/0/x000", "/log/tile/0/x000/000", "/log/tile/0/X001/000", "/log/tile/0/x000/x000/000", "/log/tile/0/x001", "/log/tile/0/000/000", "/log/tile/0/x00/000", "/log/tile/0/x0000/000",
	"/log/tile/0/999", "/log/tile/0/x999/999", "/log/tile/0/x999/x999/x999/x999/x999/x999/999", "/log/tile/0/" + strings.Repeat("x999/", 2000) + "999",
	"/log/tile/1/001", "/log/tile/7/000", "/log/tile/8/000", "/log/tile/63/000", "/log/tile/64/000", "/log/tile/255/000", "/log/tile/256/000", "/log/tile/9223372036854775808/000",
	"/log/tile/0/000.p/0", "/log/tile/0/000.p/256", "/log/tile/0/000.p/257", "/log/tile/0/000.p/01", "/log/tile/0/000.p/+1", "/log/tile/0/000.p/-1", "/log/tile/0/000.p/", "/log/tile/0/000.p",
	"/log/tile/0/000.P/1", "/log/tile/0/000.p/%31", "/log/tile/0/000.p/1/1", "/log/tile/0/000.p/1.p/1", "/log/tile/0/x000.p/1/000", "/log/tile/0/p/1", "/log/tile/0/000p/1", "/log/tile/0/.p/1",
	"/log/tile/0/900.p/255", "/log/tile/0/000.p/18446744073709551617", "/log/tile/entries/000.p/0", "/log/tile/entries/000.p/256", "/log/tile/entries/900.p/255", "/log/tile/entries/999",
	"/log/tile/data/000", "/log/tile/Entries/000", "/log/tile/entries/0/000", "/log/tile/entries/../../checkpoint",
	"/log/notices/../checkpoint", "/log/notices/" + strings.Repeat("0", 64), "/log/notices/" + strings.Repeat("A", 64), "/log/notices/" + strings.Repeat("0", 63), "/log/notices/../../../../etc/passwd",
	"/log/apikeys", "/log/root.key", "/log/signing.keys", "/log/vault", "/log/head", "/log/../apikeys", "/log/etc/passwd", "/log/" + Canary, "/log/tile/0/" + Canary, "/log/" + strings.Repeat("a/", 4000),
}

func pathAttacks() []Attack {
	return []Attack{{"paths of tiles", "", `200|404|400|401( .*)?|closed|reset PROTOCOL_ERROR`, func(ctx context.Context, a *assault) error {
		raw := func(path string) []byte {
			return []byte("GET " + path + " HTTP/1.1\r\nHost: " + a.addr + "\r\nConnection: close\r\n\r\n")
		}
		for _, path := range goodPaths {
			if err := a.expect(ctx, path, raw(path), `200`); err != nil {
				return err
			}
		}
		return errors.Join(together(8, func(part int) (wrong error) {
			for i := part; i < len(badPaths); i += 8 {
				wrong = errors.Join(wrong, a.expect(ctx, badPaths[i], raw(badPaths[i]), `40[014].*`))
			}
			return wrong
		}), a.pathsOverHTTP2(ctx))
	}}}
}

// pathsOverHTTP2 asks for all of them over one connection.
func (a *assault) pathsOverHTTP2(ctx context.Context) error {
	alone := &assault{Victim: a.Victim, from: a.from, answers: map[string]int{}}
	r, err := alone.open2(ctx)
	if err != nil {
		return err
	}
	for i, path := range badPaths {
		if strings.Contains(path, " ") {
			path = (&url.URL{Path: path}).EscapedPath()
		}
		if err := r.ask(uint32(2*i+1), path); err != nil {
			return err
		}
	}
	time.Sleep(2 * time.Second)
	r.over(0)
	a.sends(len(badPaths))
	told := 0
	for kind, n := range alone.answers {
		for range n {
			a.answer(kind, nil)
		}
		if kind == "200" {
			return fmt.Errorf("over HTTP/2 %d of the bad paths were answered", n)
		}
		if kind != "closed" {
			told += n
		}
	}
	if told < len(badPaths) {
		return fmt.Errorf("over HTTP/2 %d of %d paths were answered: %v", told, len(badPaths), alone.answers)
	}
	return alone.wrong
}
