package storm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Programs are the programs that a storm is about, as those who use them have them.
type Programs struct{ Ledgerd, Verify string }

// Build builds the programs into a directory. It must be called within the repository.
func Build(ctx context.Context, dir string) (Programs, error) {
	const module = "github.com/consentledger/consentledger"
	out, err := exec.CommandContext(ctx, "go", "build", "-o", dir+string(filepath.Separator), module+"/cmd/ledgerd", module+"/cmd/verify").CombinedOutput()
	if err != nil {
		return Programs{}, fmt.Errorf("building ledgerd and verify: %w\n%s\nOutside of the repository, say where they are", err, out)
	}
	return Programs{filepath.Join(dir, "ledgerd"), filepath.Join(dir, "verify")}, nil
}

// VerifyLog runs `verify log` on a directory or the URL of a log, which needs an
// auditor's key. Since is a file with a checkpoint that the log must contain; "" for
// none. Whatever is not verified is an error.
func (p Programs) VerifyLog(ctx context.Context, log, key, policy, since string) error {
	args := []string{"log", log, "--policy", policy}
	if since != "" {
		args = append(args, "--since", since)
	}
	cmd := exec.CommandContext(ctx, p.Verify, args...)
	cmd.Env = append(os.Environ(), "LEDGERD_KEY="+key)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("verify %v: %w\n%s", args, err, out)
	}
	return nil
}

// Check runs `ledgerd check` on a ledger that nobody has open.
func (p Programs) Check(ctx context.Context, data string) error {
	if out, err := exec.CommandContext(ctx, p.Ledgerd, "check", "--data", data).CombinedOutput(); err != nil {
		return fmt.Errorf("ledgerd check: %w\n%s", err, out)
	}
	return nil
}
