package calls_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/consentledger/consentledger/internal/api/calls"
	"github.com/consentledger/consentledger/internal/refusal"
)

// written writes so many bytes, each piece another number of them.
func written(size int) func(io.Writer) error {
	return func(w io.Writer) error {
		for n := 1; size > 0; n *= 3 {
			n = min(n, size)
			if _, err := w.Write(bytes.Repeat([]byte{byte(n)}, n)); err != nil {
				return err
			}
			size -= n
		}
		return nil
	}
}

// TestFiles: the pieces of a stream are the file, none larger than 64 KiB, and so is the
// one answer, up to 64 MiB.
func TestFiles(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20, 64 << 20} {
		var want, got bytes.Buffer
		if err := written(size)(&want); err != nil {
			t.Fatal(err)
		}
		pieces := 0
		err := calls.Stream(func(chunk []byte) error {
			if len(chunk) == 0 || len(chunk) > 64<<10 {
				t.Errorf("%d bytes: a piece of %d", size, len(chunk))
			}
			pieces++
			got.Write(slices.Clone(chunk))
			return nil
		}, written(size))
		if err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) || pieces > size/(32<<10)+1 {
			t.Errorf("%d bytes: %d bytes in %d pieces, %v", size, got.Len(), pieces, err)
		}
		whole, err := calls.Whole(t.Context(), "report", "Other", written(size))
		if err != nil || !bytes.Equal(whole, want.Bytes()) {
			t.Errorf("%d bytes: %d bytes at once, %v", size, len(whole), err)
		}
	}
	if err := calls.Stream(func([]byte) error { return broken }, written(1)); !errors.Is(err, broken) {
		t.Errorf("a broken connection: %v", err)
	}
	if err := calls.Stream(func([]byte) error { return nil }, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a file that breaks off: %v", err)
	}
	whole, err := calls.Whole(t.Context(), "report", "Other", written(64<<20+1))
	var no *refusal.Error
	if !errors.As(err, &no) || no.Code != refusal.ResourceExhausted || no.Error() != "report: is larger than 64 MiB; Other streams it" || whole != nil {
		t.Errorf("64 MiB and a byte: %v", err)
	}
}

// TestRoomForFiles: what is taken of the room is at least the file, and a little more; where
// there is none the file is refused, with when to come again.
func TestRoomForFiles(t *testing.T) {
	const size = 1 << 20
	for room, want := range map[int64]bool{size: true, 2 * size: true, size - 1: false, 0: false} {
		left := room
		ctx := calls.WithRoom(t.Context(), func(bytes int64) bool {
			if bytes > left {
				return false
			}
			left -= bytes
			return true
		})
		whole, err := calls.Whole(ctx, "report", "Other", written(size))
		var no *refusal.Error
		switch {
		case want:
			if taken := room - left; err != nil || len(whole) != size || taken < size || taken > size+64<<10 {
				t.Errorf("with room for %d: %d bytes, %d taken, %v", room, len(whole), taken, err)
			}
		case !errors.As(err, &no) || no.Code != refusal.ResourceExhausted || no.At != "report" || no.Wait == 0 || whole != nil:
			t.Errorf("with room for %d: %d bytes, %v", room, len(whole), err)
		}
	}
}
