package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	adminv1 "github.com/consentledger/consentledger/proto/consent/admin/v1"
	"github.com/consentledger/consentledger/proto/consent/admin/v1/adminv1connect"
)

// vaultCommand is `ledgerd vault`.
type vaultCommand struct {
	RekeyIndex rekeyIndex `cmd:"" name:"rekey-index" help:"Replace the key of the blind index, so that no guess at an erased address can be tested any more."`
}

type rekeyIndex struct{ serverFlags }

// Help is printed by --help below the one sentence.
func (*rekeyIndex) Help() string {
	return `The server does this by itself within --index-lag of an erasure, and answers everybody meanwhile. This starts it now,
or finds it going on, and ends when it is done; an interrupt ends the waiting only. An erasure of the last two days
may still wait afterwards: the keys under which retries are recognised live for so long. ` + keyHelp + `

Example:

    ledgerd vault rekey-index`
}

func (c *rekeyIndex) run(ctx context.Context, std *streams) error {
	client, err := c.admin(std.err)
	if err != nil {
		return err
	}
	before, err := client.GetErasureStatus(ctx, &adminv1.GetErasureStatusRequest{})
	if err != nil {
		return err
	}
	if _, err := client.RekeyIndex(ctx, &adminv1.RekeyIndexRequest{}); err != nil {
		return err
	}
	after, err := awaitRekey(ctx, client, newProgress(std.err, "replacing", 1))
	if err != nil {
		return err
	}
	if after.IndexEpoch <= before.IndexEpoch {
		return errors.New("the server has stopped replacing the key of the index and is not done; its log says why. " +
			"Once that is put right, start this again")
	}
	_, err = fmt.Fprintf(std.out, "The blind index has a new key: epoch %d, since %s.\n", after.IndexEpoch, moment(after.IndexReplacedAt))
	if err == nil && after.ExistencePending > 0 {
		_, err = fmt.Fprintf(std.out, "%s still for a key of the day, and then for one more replacement; due by %s.\n",
			count(after.ExistencePending, "erasure waits", "erasures wait"), moment(after.ExistenceDue))
	}
	return err
}

// awaitRekey asks until the index is no longer being replaced.
func awaitRekey(ctx context.Context, client adminv1connect.AdminServiceClient, bar *progress) (*adminv1.GetErasureStatusResponse, error) {
	defer bar.finish()
	for {
		asked := time.Now()
		st, err := client.GetErasureStatus(ctx, &adminv1.GetErasureStatusRequest{})
		if err != nil || !st.Rekeying {
			return st, err
		}
		bar.report(st.RekeyDone, st.RekeyTotal)
		select {
		// The answer takes the server a look at every consent.
		case <-time.After(max(200*time.Millisecond, 4*time.Since(asked))):
		case <-ctx.Done():
			return nil, errors.New("interrupted; the server goes on replacing the key of the index")
		}
	}
}
