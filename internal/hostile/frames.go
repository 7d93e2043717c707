package hostile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The kinds of bodies.
const (
	typeJSON    = "application/json"
	typeProto   = "application/proto"
	typeStream  = "application/connect+json"
	typeGRPC    = "application/grpc+proto"
	typeGRPCWeb = "application/grpc-web+proto"
)

// frame is a body that no client sends.
type frame struct {
	name, method, contentType string
	header                    []string
	body                      []byte
	answers                   string
}

// envelope puts a message behind the five bytes of Connect's streams and gRPC.
func envelope(flags byte, length uint32, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, length), message...)
}

func whole(flags byte, message []byte) []byte { return envelope(flags, uint32(len(message)), message) }

// bomb is what begins so and goes on so, for so many bytes, gzipped.
func bomb(begin, on string, n int) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(begin)) // a bytes.Buffer takes everything
	for piece := []byte(strings.Repeat(on, 1<<16)); len(on) > 0 && n > 0; n -= len(piece) {
		_, _ = z.Write(piece)
	}
	_ = z.Close()
	return b.Bytes()
}

// The good question and the same in binary.
const question = `{"subject":{"email":"` + canaryMail + `"},"purpose":"newsletter","channel":"email"}`

var (
	binaryQuestion = fmt.Appendf(nil, "\x0a%c\x0a%c%s\x12\x0anewsletter\x1a\x05email", len(canaryMail)+2, len(canaryMail), canaryMail)
	gzipped        = []string{"Content-Encoding: gzip"}
	streamGzipped  = []string{"Connect-Content-Encoding: gzip"}
	grpcGzipped    = []string{"TE: trailers", "Grpc-Encoding: gzip"}
	trailers       = []string{"TE: trailers"}
)

const (
	refusedBody = `400 invalid_argument`
	tooMuch     = `429 resource_exhausted`
	grpcInvalid = `200 grpc (3|8|12|13)` // invalid_argument, resource_exhausted, unimplemented, internal by its own specification
)

// frames are those of Connect, gRPC and gRPC-Web, and JSON.
func frames() []frame {
	deep, huge := strings.Repeat, bomb(question, " ", 64<<20)
	list := []frame{
		// That the table's questions are understood at all.
		{"a good question", "CheckConsent", typeJSON, nil, []byte(question), `200`},
		{"a good question in binary", "CheckConsent", typeProto, nil, binaryQuestion, `200`},
		{"a good question by gRPC-Web", "CheckConsent", typeGRPCWeb, nil, whole(0, binaryQuestion), `200|200 grpc 0`},
		{"a good question in a stream", "CheckConsents", typeStream, nil, whole(0, []byte(question)), `200`},

		{"compressed, and is not", "CheckConsent", typeJSON, gzipped, []byte(question), refusedBody},
		{"compressed, and cut", "CheckConsent", typeJSON, gzipped, bomb(question, "", 0)[:20], refusedBody},
		{"compressed twice", "CheckConsent", typeJSON, gzipped, bomb(string(bomb(question, "", 0)), "", 0), refusedBody},
		{"compressed as nobody can", "CheckConsent", typeJSON, []string{"Content-Encoding: " + Canary}, []byte(question), `501 unimplemented|` + refusedBody},
		{"compressed by a list", "CheckConsent", typeJSON, []string{"Content-Encoding: gzip, gzip"}, []byte(question), `501 unimplemented|` + refusedBody},
		{"a bomb of blanks, 16 MiB", "CheckConsent", typeJSON, gzipped, bomb(question, " ", 17<<20), tooMuch},
		{"a bomb of 64 MiB", "CheckConsent", typeJSON, gzipped, huge, tooMuch},
		{"a bomb in binary", "CheckConsent", typeProto, gzipped, huge, tooMuch},
		{"a bomb of empty messages", "BatchCheckConsents", typeProto, gzipped, bomb("", "\x0a\x00", 15<<20), refusedBody + `|` + tooMuch},
		{"empty messages, 15 MiB", "BatchImportConsents", typeProto, nil, bytes.Repeat([]byte{0x0a, 0}, 15<<19), refusedBody + `|` + tooMuch},
		{"empty objects, 15 MiB", "BatchCheckConsents", typeJSON, nil, []byte(`{"checks":[{}` + deep(`,{}`, 5<<20) + `]}`), refusedBody + `|` + tooMuch},
		{"a bomb in a stream", "CheckConsents", typeStream, streamGzipped, whole(1, huge), `200 (resource_exhausted|invalid_argument)`},
		{"a bomb by gRPC", "CheckConsent", typeGRPCWeb, []string{"Grpc-Encoding: gzip"}, whole(1, huge), grpcInvalid},

		{"a frame longer than the body", "CheckConsent", typeGRPCWeb, nil, envelope(0, 1000, binaryQuestion), grpcInvalid},
		{"a frame of 4 GiB", "CheckConsent", typeGRPCWeb, nil, envelope(0, 0xffffffff, binaryQuestion), grpcInvalid},
		{"a frame of 4 GiB in a stream", "CheckConsents", typeStream, nil, envelope(0, 0xffffffff, []byte(question)), `200 (resource_exhausted|invalid_argument)`},
		{"half a frame's head", "CheckConsent", typeGRPCWeb, nil, []byte{0, 0, 0}, grpcInvalid},
		{"all flags", "CheckConsent", typeGRPCWeb, nil, whole(0xff, binaryQuestion), grpcInvalid},
		{"reserved flags", "CheckConsents", typeStream, nil, whole(0x7c, []byte(question)), `200( [a-z_]+)?`},
		{"compressed by its flag alone", "CheckConsent", typeGRPCWeb, nil, whole(1, binaryQuestion), grpcInvalid},
		{"an end of stream first", "CheckConsents", typeStream, nil, append(whole(2, []byte(`{"error":{"code":"`+Canary+`"}}`)), whole(0, []byte(question))...), `200( [a-z_]+)?`},
		{"trailers as a message", "CheckConsent", typeGRPCWeb, nil, append(whole(0x80, []byte("grpc-status: 0\r\n"+Canary+": a\r\n")), whole(0, binaryQuestion)...), grpcInvalid},
		{"two messages for one", "CheckConsent", typeGRPCWeb, nil, append(whole(0, binaryQuestion), whole(0, binaryQuestion)...), grpcInvalid},
		{"no message", "CheckConsent", typeGRPCWeb, nil, nil, grpcInvalid},
		{"a hundred thousand empty frames", "CheckConsents", typeStream, nil, bytes.Repeat([]byte{0, 0, 0, 0, 0}, 100_000), `200( [a-z_]+)?`},
		{"a good question by gRPC", "CheckConsent", typeGRPC, trailers, whole(0, binaryQuestion), `200 grpc 0`},
		{"gRPC without trailers", "CheckConsent", typeGRPC, nil, whole(0, binaryQuestion), `200 grpc [0-9]+`},
		{"a good stream by gRPC", "CheckConsents", typeGRPC, trailers, whole(0, binaryQuestion), `200 grpc 0`},
		{"a bomb in a stream by gRPC", "CheckConsents", typeGRPC, grpcGzipped, whole(1, huge), `200 grpc [0-9]+`},
		{"a stream where there is none", "CheckConsent", typeStream, nil, whole(0, []byte(question)), `415`},
		{"one message where there is a stream", "CheckConsents", typeJSON, nil, []byte(question), `415|505`},
		{"another content type", "CheckConsent", "text/" + Canary, nil, []byte(question), `415`},
		{"a content type of JSON's relatives", "CheckConsent", "application/json; charset=utf-16", nil, []byte(question), `415|` + refusedBody},
		{"a timeout of none", "CheckConsent", typeJSON, []string{"Connect-Timeout-Ms: 0"}, []byte(question), `504 deadline_exceeded|200`},
		{"a negative timeout", "CheckConsent", typeJSON, []string{"Connect-Timeout-Ms: -1"}, []byte(question), refusedBody},
		{"a timeout of all digits", "CheckConsent", typeJSON, []string{"Connect-Timeout-Ms: " + deep("9", 30)}, []byte(question), refusedBody},
		{"a protocol of tomorrow", "CheckConsent", typeJSON, []string{"Connect-Protocol-Version: " + Canary}, []byte(question), refusedBody},

		{"arrays in arrays", "CheckConsent", typeJSON, nil, []byte(`{"subject":` + deep("[", 100_000) + deep("]", 100_000) + `}`), refusedBody},
		{"objects in objects", "CheckConsent", typeJSON, nil, []byte(deep(`{"subject":`, 100_000) + `1` + deep("}", 100_000)), refusedBody},
		{"messages in messages", "CheckConsent", typeProto, nil, nested(20_000), refusedBody},
		{"groups in groups", "CheckConsent", typeProto, nil, append(bytes.Repeat([]byte{0x9b, 0x06}, 100_000), bytes.Repeat([]byte{0x9c, 0x06}, 100_000)...), refusedBody},
		{"a name twice", "CheckConsent", typeJSON, nil, []byte(`{"purpose":"a","purpose":"` + Canary + `"}`), refusedBody},
		{"a name in both spellings", "WithdrawConsent", typeJSON, nil, []byte(`{"manage_token":"a","manageToken":"` + Canary + `"}`), refusedBody},
		{"a name twice in escapes", "CheckConsent", typeJSON, nil, []byte(`{"purpose":"a","\u0070urpose":"` + Canary + `"}`), refusedBody},
		{"a person twice in binary", "CheckConsent", typeProto, nil, append(bytes.Clone(binaryQuestion), binaryQuestion...), `200|` + refusedBody},
		{"__proto__", "CheckConsent", typeJSON, nil, []byte(`{"__proto__":{"purpose":"` + Canary + `"}}`), refusedBody},
		{"@type", "CheckConsent", typeJSON, nil, []byte(`{"@type":"type.googleapis.com/` + Canary + `"}`), refusedBody},
		{"a byte order mark", "CheckConsent", typeJSON, nil, []byte("\xef\xbb\xbf" + question), refusedBody},
		{"UTF-16", "CheckConsent", typeJSON, nil, []byte("{\x00\"\x00p\x00"), refusedBody},
		{"comments", "CheckConsent", typeJSON, nil, []byte(`/*` + Canary + `*/` + question), refusedBody},
		{"two values", "CheckConsent", typeJSON, nil, []byte(question + question), refusedBody},
		{"lone surrogates", "CheckConsent", typeJSON, nil, []byte(`{"purpose":"` + Canary + `\udc00\ud800"}`), refusedBody},
		{"overlong UTF-8", "CheckConsent", typeProto, nil, []byte("\x12\x02\xc0\xaf"), refusedBody},
		{"a length beyond the body", "CheckConsent", typeProto, nil, []byte("\x12\xff\xff\xff\xff\x0f" + Canary), refusedBody},
		{"a number of eleven bytes", "RecordUses", typeProto, nil, append([]byte{0x10}, bytes.Repeat([]byte{0xff}, 11)...), refusedBody},
	}
	for _, number := range []string{"1e999", "-1e999", "1e-999", "9223372036854775808", `"9223372036854775808"`, "0x10", `"0x10"`, `" 1"`, "01", "1.5", `"NaN"`, "NaN", "-0", `""`,
		deep("9", 1_000_000), "1e" + deep("9", 1000), `"` + deep("0", 1_000_000) + `1"`} {
		list = append(list, frame{"the number " + number[:min(20, len(number))], "RecordUses", typeJSON, nil, []byte(`{"consent_ids":[` + number + `]}`), refusedBody})
	}
	return list
}

// nested is a message in a message, so many times.
func nested(n int) (b []byte) {
	for range n {
		b = append(binary.AppendUvarint([]byte{0x0a}, uint64(len(b))), b...)
	}
	return b
}

func frameAttacks() []Attack {
	return []Attack{{"malformed Connect, gRPC and JSON", "app", `.*`, func(ctx context.Context, a *assault) error {
		var wrong error
		list := frames()
		for len(list) > 0 { // a few at once, as one caller may
			few := list[:min(8, len(list))]
			list = list[len(few):]
			err := together(len(few), func(i int) error {
				f := few[i]
				if f.method == "CheckConsents" || f.contentType == typeGRPC {
					return a.expectOverHTTP2(ctx, f)
				}
				return a.expect(ctx, f.name, a.post(f.method, f.contentType, f.header, f.body), f.answers)
			})
			wrong = errors.Join(wrong, err)
		}
		return wrong
	}}}
}
