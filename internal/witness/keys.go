package witness

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/consentledger/consentledger/ledger"
)

// Files in a witness's directory, besides those of evidence.
const (
	keysName   = "witness.keys"   // the seeds of both keys
	policyName = "witness.policy" // the lines that others add to their trust policies
	stateName  = "cosigned"       // what was cosigned, of every log
	lockName   = "lock"
)

// keysMagic begins the file of the keys. The name follows, and the two 32-byte
// seeds in padded base64, Ed25519 then ML-DSA-44, a line each.
const keysMagic = "consent-ledger/witness-keys/v1"

// Create makes a witness in dir, which must not exist or be empty, and gives the
// lines that others add to their trust policies: url, which may be "", is where
// logs will reach it. An error of any step leaves dir as it was; a crash may leave
// files that [Open] takes for no witness, because the record of what was cosigned
// comes last.
func Create(dir, name, url string) (policy []byte, err error) {
	var ed, pq [32]byte
	rand.Read(ed[:]) // never fails, crypto/rand
	rand.Read(pq[:])
	cosigner, err := ledger.NewCosigner(name, ed, pq)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("making a witness: the URL holds a space or a character that is not ASCII")
	}
	list, err := os.ReadDir(dir)
	if len(list) > 0 {
		return nil, fmt.Errorf("%s is not empty; a witness is made in a new directory and an existing one is never touched", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("making a witness: %w", err)
	}
	existed := err == nil
	defer func() {
		if err == nil {
			return
		}
		for _, made := range []string{keysName, policyName, evidenceName, stateName, stateName + ".next"} {
			err = errors.Join(err, os.RemoveAll(path(dir, made)))
		}
		if !existed {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	policy = cosigner.Keys().PolicyLines(url)
	seeds := fmt.Sprintf("%s\n%s\n%v\n%v\n", keysMagic, name, ledger.Hash(ed), ledger.Hash(pq))
	steps := []func() error{
		func() error { return os.MkdirAll(dir, 0o700) },
		func() error { return os.Chmod(dir, 0o700) },
		func() error { return writeNew(path(dir, keysName), 0o600, []byte(seeds)) },
		func() error { return writeNew(path(dir, policyName), 0o644, policy) },
		func() error { return os.Mkdir(path(dir, evidenceName), 0o700) },
		func() error { return writeState(dir, name, nil, func(string) error { return nil }) },
		func() error { return syncDir(path(dir, "..")) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("making a witness: %w", err)
		}
	}
	return policy, nil
}

// readKeys reads the keys of a witness.
func readKeys(dir string) (*ledger.Cosigner, error) {
	file := path(dir, keysName)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no witness; make one with `ledgerd witness init`")
	} else if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others may read %s; run `chmod 600 %s`, and make a new witness if somebody did", file, file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	lines := strings.Split(string(b), "\n")
	if lines[0] != keysMagic {
		return nil, fmt.Errorf("%s is not a file of a witness's keys of this version", file)
	}
	if len(lines) != 5 || lines[4] != "" {
		return nil, fmt.Errorf("%s is damaged", file)
	}
	ed, err1 := ledger.ParseHash(lines[2])
	pq, err2 := ledger.ParseHash(lines[3])
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("%s is damaged", file) // the reason could hold a seed
	}
	return ledger.NewCosigner(lines[1], ed, pq)
}
