package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentledger/consentledger/internal/backup"
)

// secretFiles are those in a ledger's directory that open or sign something.
var secretFiles = []string{"root.key", "signing.keys", "apikeys"}

// lookAtFiles looks at who may read and write what, and at what lies where.
func (d *doctor) lookAtFiles(c *serveCommand) {
	d.lookAtDirectory(c.Data)
	root := c.RootKey
	if root == "" {
		root = filepath.Join(c.Data, "root.key")
	}
	d.lookAtWay("data", c.Data)
	data, ok := d.place("data", c.Data, dataPlaces)
	if ok {
		d.lookAtRoom("data", c.Data, data)
	}
	if !c.LogOnly {
		d.lookAtRoot(root, c.Data, data)
	}
	d.lookAtBackup(c, data)
}

// lookAtDirectory looks at the modes and owners of all that lies in a ledger's
// directory.
func (d *doctor) lookAtDirectory(data string) {
	closed := fmt.Sprintf("Run: chmod -R go-rwx %s", shellQuote(data))
	writable, secret, foreign := &example{}, &example{}, &example{}
	var owner uint32
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if os.IsNotExist(err) {
			return nil // a running server makes and removes files
		} else if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return nil
		}
		if path == data {
			owner = st.Uid
		} else if st.Uid != owner {
			foreign.add(path)
		}
		mode := info.Mode()
		switch {
		case mode&fs.ModeSymlink != 0: // its own mode says nothing
		case mode.Perm()&0o022 != 0:
			writable.add(path)
		case filepath.Dir(path) == data && isSecret(e.Name()) && mode.Perm()&0o077 != 0:
			secret.add(path)
		case path == data && mode.Perm()&0o055 != 0:
			d.unwise("permissions", closed, "others may look into %s (mode %04o)", path, mode.Perm())
		}
		return nil
	})
	if err != nil {
		d.wrong("permissions", "Run this as the server's user.", "not everything can be read: %v", err)
	}
	if writable.n > 0 {
		d.wrong("permissions", closed, "others may write %s", writable)
	}
	if secret.n > 0 {
		d.wrong("permissions", closed, "others may read %s", secret)
	}
	if foreign.n > 0 {
		d.wrong("permissions", fmt.Sprintf("Run: chown -R --reference=%[1]s %[1]s", shellQuote(data)), "the directory's owner does not own %s", foreign)
	}
	if d.machine.user != 0 && d.machine.user != int(owner) {
		d.unwise("permissions", "Run this, and the server, as the user who owns the ledger.", "user %d looks at a ledger of user %d", d.machine.user, owner)
	}
}

func isSecret(name string) bool {
	for _, s := range secretFiles {
		if name == s {
			return true
		}
	}
	return false
}

// example is the first of many paths.
type example struct {
	first string
	n     int
}

func (e *example) add(path string) {
	if e.n++; e.n == 1 {
		e.first = path
	}
}

func (e *example) String() string {
	if e.n == 1 {
		return e.first
	}
	return fmt.Sprintf("%s and %d more", e.first, e.n-1)
}

// lookAtWay looks at the directories above a path: who may write one can put another
// file in its place.
func (d *doctor) lookAtWay(check, path string) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
			d.wrong(check, fmt.Sprintf("Run: chmod go-w %s", shellQuote(dir)), "others may write %s, and so put something else in the place of %s", dir, path)
		}
		if dir == filepath.Dir(dir) {
			return
		}
	}
}

// places says what is wrong with kinds of file systems, by their magic numbers in
// statfs(2).
type places map[int64]place

type place struct {
	name  string
	wrong bool
	why   string
}

const (
	overNetwork   = "locks and syncs over a network do not hold what they promise"
	gone          = "what lies there is gone with the next start"
	goneContainer = "what lies there is gone with the container"
	notDestroyed  = "it writes changes to another place, and may keep the old one in a snapshot, so that an overwritten key is not destroyed"
)

var dataPlaces = places{
	nfsMagic: {"NFS", true, overNetwork}, smbMagic: {"SMB", true, overNetwork}, cifsMagic: {"CIFS", true, overNetwork},
	v9fsMagic: {"9p", true, overNetwork}, cephMagic: {"Ceph", true, overNetwork},
	fuseMagic:  {"FUSE", false, "whether its locks and syncs hold what they promise, nobody knows"},
	tmpfsMagic: {"tmpfs", true, gone}, ramfsMagic: {"ramfs", true, gone}, overlayMagic: {"overlayfs", true, goneContainer},
}

var rootPlaces = places{
	btrfsMagic: {"btrfs", true, notDestroyed}, zfsMagic: {"ZFS", true, notDestroyed}, bcachefsMagic: {"bcachefs", true, notDestroyed},
	f2fsMagic: {"F2FS", true, notDestroyed}, nilfsMagic: {"NILFS", true, notDestroyed},
	overlayMagic: {"overlayfs", true, goneContainer}, tmpfsMagic: {"tmpfs", true, gone}, ramfsMagic: {"ramfs", true, gone},
	nfsMagic: {"NFS", true, "whether the server destroys what is overwritten, nobody knows"},
}

// The magic numbers of Linux, from linux/magic.h and the modules' own headers.
const (
	nfsMagic      = 0x6969
	smbMagic      = 0xfe534d42
	cifsMagic     = 0xff534d42
	v9fsMagic     = 0x01021997
	cephMagic     = 0x00c36400
	fuseMagic     = 0x65735546
	tmpfsMagic    = 0x01021994
	ramfsMagic    = 0x858458f6
	overlayMagic  = 0x794c7630
	btrfsMagic    = 0x9123683e
	f2fsMagic     = 0xf2f52010
	nilfsMagic    = 0x3434
	zfsMagic      = 0x2fc12fc1
	bcachefsMagic = 0xca451a4e
)

// place looks at the file system that holds a path; false if it cannot.
func (d *doctor) place(check, path string, bad places) (fileSystem, bool) {
	f, err := d.machine.fileSystem(path)
	if err != nil {
		d.wrong(check, "Give the right path, and run this as the server's user.", "%v", err)
		return f, false
	}
	if p, ok := bad[f.magic]; ok {
		tell := d.unwise
		if p.wrong {
			tell = d.wrong
		}
		tell(check, "Put it on ext4 or XFS, on a disk of this machine.", "%s lies on %s: %s", path, p.name, p.why)
	}
	return f, true
}

// Room below which the doctor complains. A large ledger records not everything any more
// below about 1.3 GiB.
const (
	wrongRoom   = 2 << 30
	unwiseRoom  = 4 << 30
	fewestFiles = 10_000
)

func (d *doctor) lookAtRoom(check, path string, f fileSystem) {
	const remedy = "Make room or enlarge the file system before it is full."
	switch {
	case f.free < wrongRoom:
		d.wrong(check, remedy, "the file system of %s has room for %d MiB only", path, f.free>>20)
	case f.free < unwiseRoom || f.free < f.size/20:
		d.unwise(check, remedy, "the file system of %s has room for %d MiB, %d %% of it", path, f.free>>20, 100*f.free/max(f.size, 1))
	}
	if f.hasInodes && f.inodes < fewestFiles {
		d.unwise(check, remedy, "the file system of %s takes only %d more files", path, f.inodes)
	}
}

// lookAtRoot looks at where the vault's root key lies: that it can be overwritten is
// what erasures rely on.
func (d *doctor) lookAtRoot(root, data string, of fileSystem) {
	const check = "root key"
	info, err := os.Stat(root)
	if err != nil {
		d.wrong(check, "Give --root-key; if the file is lost, see `ledgerd restore --help`.", "it is not where it should be: %v", err)
		return
	}
	if info.Mode().Perm()&0o077 != 0 {
		d.wrong(check, fmt.Sprintf("Run: chmod 600 %s", shellQuote(root)), "others may access %s (mode %04o)", root, info.Mode().Perm())
	}
	d.lookAtWay(check, root)
	f, ok := d.place(check, root, rootPlaces)
	if !ok {
		return
	}
	if f.device == of.device {
		d.unwise(check, "Move it to a small volume of its own that nobody snapshots or backs up, and give --root-key.",
			"it lies on the same volume as %s: a snapshot or a copy of that volume opens what is erased after it", data)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(f.device), unix.Minor(f.device))
	if uuid, _ := os.ReadFile(filepath.Join(d.machine.sys, "dev/block", device, "dm/uuid")); strings.HasPrefix(string(uuid), "LVM-") {
		d.unwise(check, "See that nobody makes snapshots of that volume (`lvs -o lv_name,origin`).", "it lies on a logical volume, of which snapshots can be made")
	}
}

// lookAtBackup looks at whether key backups are made, and lie apart from what they
// are of.
func (d *doctor) lookAtBackup(c *serveCommand, data fileSystem) {
	const check = "key backup"
	if c.LogOnly {
		return
	}
	if c.BackupTarget == "" {
		d.unwise(check, "Give --backup-target and --backup-key; see `ledgerd backup keys --help`.",
			"there is none: if the root key is lost, all personal data are; and every erasure makes older copies useless")
		return
	}
	target, ok := d.place(check, c.BackupTarget, nil)
	if !ok {
		return
	}
	d.lookAtRoom(check, c.BackupTarget, target)
	if target.device == data.device {
		d.unwise(check, "Give a --backup-target on another disk.", "%s and %s lie on the same volume, and are lost together", c.BackupTarget, c.Data)
	}
	d.lookAtDataBackups(c.BackupTarget)
	// The identity's file is made with the first backup.
	key, ok := d.place(check, filepath.Dir(c.BackupKey), rootPlaces)
	if !ok {
		return
	}
	if info, err := os.Stat(c.BackupKey); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.wrong(check, fmt.Sprintf("Run: chmod 600 %s", shellQuote(c.BackupKey)), "others may access %s (mode %04o)", c.BackupKey, info.Mode().Perm())
	}
	if key.device == target.device || key.device == data.device {
		d.wrong(check, "Give a --backup-key on a medium that neither --data nor --backup-target is on.",
			"%s lies on the same volume as what it opens: a snapshot or a copy of that has both", c.BackupKey)
	}
}

// backupAge is how old the newest data backup may be.
const backupAge = 48 * time.Hour

// lookAtDataBackups looks at whether data backups are made, and can be gone on from.
func (d *doctor) lookAtDataBackups(target string) {
	const check = "data backup"
	chain, err := backup.OpenChain(target)
	switch {
	case err != nil:
		d.wrong(check, "See `ledgerd backup --help`.", "%v", err)
	case len(chain) == 0:
		d.unwise(check, "Run `ledgerd backup --full` once, and then `ledgerd backup` every day.", "there is none in %s", target)
	case d.machine.now().Sub(chain[len(chain)-1].At) > backupAge:
		d.unwise(check, "Run `ledgerd backup` every day.", "the newest in %s is of %s", target, chain[len(chain)-1].At.Format(time.RFC3339))
	}
}
