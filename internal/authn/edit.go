package authn

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// keyPrefix makes keys recognisable to people and to scanners for leaked
// secrets.
const keyPrefix = "clk_"

// keyLength is the prefix and 43 characters: the unpadded base64url of 32 bytes.
const keyLength = len(keyPrefix) + 43

// Create makes the file without any key. It is an error if it exists.
func Create(path string) error {
	var f file
	rand.Read(f.pepper[:])
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("creating API keys: %w", err)
	}
	if err := writeAndSync(out, f.encode()); err != nil {
		return fmt.Errorf("creating API keys: %w", err)
	}
	return syncDir(path)
}

// Options says what a key is made with. The zero value makes one that works until
// it is revoked, as often as its holder likes.
type Options struct {
	// Insist takes a name that looks personal, because it is not.
	Insist bool

	// Expires is when the key stops working: in the future, within the year 9999,
	// cut to whole seconds; zero for when it is revoked. The clock is the machine's.
	Expires time.Time

	// Rate is how many calls per second the key may make, up to [MaxRate]; 0 for
	// no limit.
	Rate int

	// Replace says that the name has a working key, which this one replaces; also
	// those that go on working because it replaced them.
	Replace bool

	// Overlap is how long the replaced key goes on working, if it does not expire
	// before: up to [MaxOverlap]. 0 revokes it at once.
	Overlap time.Duration
}

// MaxOverlap is how long a key that was replaced may go on working.
const MaxOverlap = 30 * 24 * time.Hour

// Add makes a key and returns it: "clk_" and 43 characters. It is not kept
// anywhere and cannot be shown again.
//
// A name has at most one working key, but for the time in which it is replaced, and never, not even after revocation, keys
// of two roles, because it stands in the log as a source. A name that looks
// personal is refused unless the options insist.
func Add(path, name string, role Role, opt Options) (key string, err error) {
	if _, err := ParseRole(string(role)); err != nil {
		return "", err
	}
	if err := checkName(name, opt.Insist); err != nil {
		return "", err
	}
	if err := checkRate(opt.Rate); err != nil {
		return "", err
	}
	made := Key{Name: name, Role: role, Created: now(), Rate: opt.Rate}
	if !opt.Expires.IsZero() {
		made.Expires = opt.Expires.UTC().Truncate(time.Second)
		if !made.Expires.After(made.Created) || made.Expires.Year() > 9999 {
			return "", errors.New("a key must expire in the future, and not after the year 9999")
		}
	}
	if opt.Overlap < 0 || opt.Overlap > MaxOverlap || opt.Overlap > 0 && !opt.Replace {
		return "", fmt.Errorf("a key that is replaced may go on working for %v at most", MaxOverlap)
	}
	var secret [32]byte
	rand.Read(secret[:])
	key = keyPrefix + b64.EncodeToString(secret[:])
	err = edit(path, func(f *file) error {
		replaced := false
		for i := range f.keys {
			k := &f.keys[i]
			switch until := made.Created.Add(opt.Overlap); {
			case k.Name != name:
			case k.Role != role:
				return fmt.Errorf("the name %q belonged to a key of role %s and cannot be given to another role", name, k.Role)
			case k.ended(made.Created):
			case !opt.Replace:
				return fmt.Errorf("the name %q has a key that works; replace or revoke it, or choose another name", name)
			case opt.Overlap == 0:
				k.Revoked, replaced = made.Created, true
			default:
				if replaced = true; k.Expires.IsZero() || until.Before(k.Expires) {
					k.Expires = until
				}
			}
		}
		if opt.Replace && !replaced {
			return errors.New("there is no working key of that name to replace")
		}
		f.keys = append(f.keys, record{made, f.hash(key)})
		return nil
	})
	if err != nil {
		return "", err
	}
	return key, nil
}

// List returns every key ever made, in the order made. If it cannot be read when
// they were used last, unread says why, and LastUsed is zero in all of them.
func List(path string) (keys []Key, unread, err error) {
	data, err := readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading API keys: %w", err)
	}
	f, err := parseFile(data)
	if err != nil {
		return nil, nil, fmt.Errorf("reading API keys: %s: %w", path, err)
	}
	last, unread := readUses(usesPath(path))
	for _, k := range f.keys {
		k.LastUsed = last[k.hash]
		keys = append(keys, k.Key)
	}
	return keys, unread, nil
}

// Revoke ends the key of that name; a running server refuses it within a second.
// Its line stays. It is an error if there is none that is not revoked.
//
// Keys of that name that have expired are revoked with it: they stay ended then,
// whatever happens to the clock.
func Revoke(path, name string) error {
	return edit(path, func(f *file) error {
		found := false
		for i := range f.keys {
			if k := &f.keys[i]; k.Name == name && k.Revoked.IsZero() {
				k.Revoked, found = now(), true
			}
		}
		if !found {
			// The name is not repeated: it may be anything, even a key.
			return errors.New("there is no working key of that name")
		}
		return nil
	})
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// edit changes the file under a lock and replaces it by rename, so that a reader
// sees the old file or the new one.
func edit(path string, change func(*file) error) error {
	locked, err := lock(path)
	if err != nil {
		return fmt.Errorf("reading API keys: %w", err)
	}
	defer locked.Close() // which unlocks
	data, err := readOpen(locked)
	if err != nil {
		return fmt.Errorf("reading API keys: %w", err)
	}
	f, err := parseFile(data)
	if err != nil {
		return fmt.Errorf("reading API keys: %s: %w", path, err)
	}
	if err := change(f); err != nil {
		return err
	}
	encoded := f.encode()
	if len(encoded) > maxFileSize {
		return fmt.Errorf("writing API keys: %s would be larger than %d bytes", path, maxFileSize)
	}
	if err := replace(path, encoded); err != nil {
		return fmt.Errorf("writing API keys: %w", err)
	}
	return nil
}

// lock opens the file and locks it. After waiting for somebody else's edit the
// open file may be the one that was replaced; then it starts again.
func lock(path string) (*os.File, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		opened, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if named, err := os.Stat(path); err == nil && os.SameFile(opened, named) {
			return f, nil
		}
		f.Close()
	}
}

// replace replaces the file by one of the same owner: whoever edits it as root must
// not take it away from the server, which would go on with the keys of before.
func replace(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	if before, err := os.Stat(path); err == nil && os.Geteuid() == 0 {
		owner := before.Sys().(*syscall.Stat_t)
		if err := tmp.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
		}
	}
	if err := writeAndSync(tmp, data); err != nil {
		os.Remove(tmp.Name())
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		os.Remove(tmp.Name())
		return err
	}
	return syncDir(path)
}

func writeAndSync(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a rename or a creation at path durable.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
