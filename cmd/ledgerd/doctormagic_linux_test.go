package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestMagics compares with what others wrote down.
func TestMagics(t *testing.T) {
	for name, pair := range map[string][2]int64{
		"nfs":     {nfsMagic, unix.NFS_SUPER_MAGIC},
		"smb":     {smbMagic, unix.SMB2_SUPER_MAGIC},
		"cifs":    {cifsMagic, unix.CIFS_SUPER_MAGIC},
		"v9fs":    {v9fsMagic, unix.V9FS_MAGIC},
		"ceph":    {cephMagic, unix.CEPH_SUPER_MAGIC},
		"fuse":    {fuseMagic, unix.FUSE_SUPER_MAGIC},
		"tmpfs":   {tmpfsMagic, unix.TMPFS_MAGIC},
		"ramfs":   {ramfsMagic, unix.RAMFS_MAGIC},
		"overlay": {overlayMagic, unix.OVERLAYFS_SUPER_MAGIC},
		"btrfs":   {btrfsMagic, unix.BTRFS_SUPER_MAGIC},
		"f2fs":    {f2fsMagic, unix.F2FS_SUPER_MAGIC},
		"nilfs":   {nilfsMagic, unix.NILFS_SUPER_MAGIC},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %#x, want %#x", name, pair[0], pair[1])
		}
	}
}
