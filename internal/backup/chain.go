package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// File is a file of a chain.
type File struct {
	Head
	Path string
	Size int64 // in bytes
	Sum  Sum
}

// Name is what the file with a number is called.
func Name(number uint64) string { return fmt.Sprintf("data-%06d.backup", number) }

// A file that is being written, and any that has its last name.
var (
	unfinished = regexp.MustCompile(`^data-[0-9]+\.backup\.tmp[0-9]*$`)
	finished   = regexp.MustCompile(`^data-[0-9]+\.backup$`)
)

// OpenChain gives the files of a directory in their order, none if there are none. It
// checks by their heads and sums that each goes on where the one before ends, and reads
// nothing else of them: see [File.Check]. That the newest files were taken away, nothing
// here shows.
func OpenChain(dir string) ([]File, error) {
	there, err := count(dir)
	if err != nil {
		return nil, err
	}
	chain := make([]File, 0, there)
	for n := uint64(1); len(chain) < there; n++ {
		f, err := readEnds(filepath.Join(dir, Name(n)))
		switch {
		case os.IsNotExist(err):
			return nil, fmt.Errorf("%w: there is no %s, and %d others are there; bring it back, or begin a new chain in an empty directory",
				ErrChain, filepath.Join(dir, Name(n)), there-len(chain))
		case err != nil:
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, Name(n)), err)
		}
		if why := f.follows(chain); why != "" {
			return nil, fmt.Errorf("%w: %s %s", ErrChain, f.Path, why)
		}
		chain = append(chain, f)
	}
	return chain, nil
}

// Newest gives the newest file of a directory, nil if there is none. It reads the ends
// of that one alone, and does not look at the others as [OpenChain] does.
func Newest(dir string) (*File, error) {
	there, err := count(dir)
	if there == 0 || err != nil {
		return nil, err
	}
	path := filepath.Join(dir, Name(uint64(there)))
	f, err := readEnds(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &f, nil
}

// count gives how many files a directory has.
func count(dir string) (n int, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("reading the data backups: %w", err)
	}
	for _, e := range entries {
		if finished.MatchString(e.Name()) {
			n++
		}
	}
	return n, nil
}

// follows says why a file does not go on where the last one of the chain ends.
func (f *File) follows(chain []File) string {
	before := File{Head: Head{Origin: f.Origin, Instance: f.Instance, Generation: f.Generation}}
	if n := len(chain); n > 0 {
		before = chain[n-1]
	}
	switch {
	case f.Number != uint64(len(chain))+1:
		return fmt.Sprintf("is number %d: it was renamed or copied", f.Number)
	case f.Origin != before.Origin:
		return fmt.Sprintf("is of %s, the one before it of %s", f.Origin, before.Origin)
	case f.Previous != before.Sum:
		return "does not follow the one before it: one of the two is of another chain, or damaged"
	case f.From != before.To || f.Instance != before.Instance || f.Since != before.Until || f.Generation < before.Generation:
		return "does not go on where the one before it ends"
	}
	return ""
}

// Check reads the file to its end.
func (f *File) Check() error {
	_, err := f.Read(nil)
	return err
}

// Read is [ReadFile] of the file, which must be the one that [OpenChain] found.
func (f *File) Read(each func(kind byte, content []byte) error) (Head, error) {
	h, sum, err := ReadFile(f.Path, each)
	if err == nil && (sum != f.Sum || h != f.Head) {
		err = fmt.Errorf("%s: %w: it was replaced meanwhile", f.Path, ErrDamaged)
	}
	return h, err
}
