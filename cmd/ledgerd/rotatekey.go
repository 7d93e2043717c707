package main

import (
	"context"
	"fmt"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
)

// rotateKeyCommand is `ledgerd rotate-key`.
type rotateKeyCommand struct{ serverFlags }

// Help is printed by --help below the one sentence.
func (*rotateKeyCommand) Help() string {
	return `Draws a new Ed25519 and a new ML-DSA-44 key, records that they follow the old ones, signed by all four, and destroys the
old seeds. The next checkpoint is signed with the new keys. What the old ones signed stays valid, and "verify" follows
from the policy that somebody has to the new keys by the log's key entries (trust.keys).

Rotate when somebody may have seen signing.keys, or when your rules say so. It takes no pause. A stolen old pair can
still sign a history that ends before this; witnesses, time stamps and kept checkpoints show that to be false.

Prints the new keys, and a trust policy of theirs for tools that do not follow key entries. ` + keyHelp + `

Example:

    ledgerd rotate-key`
}

func (c *rotateKeyCommand) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	rsp, err := client.RotateKey(ctx, &adminv1.RotateKeyRequest{})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, `The log has new keys, since entry %d, which the old ones and the new ones signed. From there on these sign, Ed25519 and
ML-DSA-44:

    %s

    %s

The seeds of the old keys are destroyed; what they signed stays valid. Next:

    Copy signing.keys anew to where you keep it offline, and destroy the old copies.
    Give the new trust.keys to witnesses, and to whoever verifies with a copy of it. It lies in the ledger's directory, in
    every export and at /log/trust.keys; the policies that people have stay as they are.

Tools that do not follow key entries need this policy, and what you have added to yours:

%s`, rsp.GetEntry().GetIndex(), rsp.Ed25519Key, rsp.Mldsa44Key, rsp.Policy)
	return err
}
