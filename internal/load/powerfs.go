package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// fileSystems are those on which a ledger is cut off, with what mounting a copy beside
// its original takes.
var fileSystems = map[string]struct {
	make  []string
	mount string // options
}{
	"ext4": {[]string{"mkfs.ext4", "-q", "-F"}, "loop"},
	"xfs":  {[]string{"mkfs.xfs", "-q", "-f"}, "loop,nouuid"}, // a copy has its original's UUID
}

// disks are file systems in files of a directory. Images lie on a file system of their
// own, an XFS, which can clone a file: the clone is the file as it was at one moment.
type disks struct {
	dir     string
	mounted []string // where, in order
}

// newDisks mounts the file system for images. Close ends it.
func newDisks(ctx context.Context, dir string) (*disks, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("cutting the power needs root: it mounts file systems of its own")
	}
	for _, program := range []string{"mount", "umount", "mkfs.xfs", "mkfs.ext4"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("cutting the power needs %s (packages e2fsprogs, xfsprogs, mount): %w", program, err)
		}
	}
	d := &disks{dir: dir}
	image := filepath.Join(dir, "images.xfs")
	err := d.makeImage(ctx, "xfs", image, 16<<30)
	if err == nil {
		err = d.mount(ctx, "xfs", image, "images")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("this machine cannot mount a file: %w", err), d.close())
	}
	return d, nil
}

// makeImage makes a file with an empty file system. It is sparse.
func (d *disks) makeImage(ctx context.Context, kind, image string, bytes int64) error {
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(bytes), f.Close()); err != nil {
		return err
	}
	return command(ctx, append(slices.Clone(fileSystems[kind].make), image)...)
}

// mount mounts an image at a directory of d.
func (d *disks) mount(ctx context.Context, kind, image, at string) error {
	at = d.at(at)
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	if err := command(ctx, "mount", "-t", kind, "-o", fileSystems[kind].mount, image, at); err != nil {
		return err
	}
	d.mounted = append(d.mounted, at)
	return nil
}

// at is the path of a mount, or of an image.
func (d *disks) at(name string) string    { return filepath.Join(d.dir, name) }
func (d *disks) image(name string) string { return filepath.Join(d.dir, "images", name) }

// unmount ends the newest mount.
func (d *disks) unmount() error {
	last := len(d.mounted) - 1
	err := command(context.Background(), "umount", d.mounted[last]) // also when the run was interrupted
	d.mounted = d.mounted[:last]
	return err
}

// close unmounts everything.
func (d *disks) close() error {
	var errs []error
	for len(d.mounted) > 0 {
		errs = append(errs, d.unmount())
	}
	return errors.Join(errs...)
}

// clone copies an image at one moment, under load: it holds every write that reached the
// image before, and none that came later.
func (d *disks) clone(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	if err := unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())); err != nil {
		return errors.Join(fmt.Errorf("cloning %s: %w", from, err), dst.Close())
	}
	return dst.Close()
}

func command(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}
