// Package codec decodes what callers send, strictly, and encodes answers the way
// DESIGN § 8 writes them.
//
// Every handler is built with [HandlerOptions]. Decoding promises: a field that
// this version does not know is an error, in JSON and in binary, at any depth,
// because a mistyped "occurred_at" that is silently dropped would be missing
// from legal evidence; refusals are *[Error], which name the field by its path and
// never contain a value. What would take many times its size in memory is refused before
// it is decoded. JSON answers use the names of the .proto files (consent_id) and write
// zero values out, so that "allowed": false is always visible.
package codec

import (
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// HandlerOptions returns the options of every Connect handler of this program.
// readMaxBytes is the largest message accepted, after decompression; larger ones
// are resource_exhausted. It must be positive.
//
// Connect puts "unmarshal message: " before what these codecs answer; the code
// is invalid_argument.
func HandlerOptions(readMaxBytes int) []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithReadMaxBytes(readMaxBytes),
		boundedGzip(readMaxBytes + 1),
		// Most answers fit a packet; compressing them costs more than it saves.
		connect.WithCompressMinBytes(compressMinBytes),
		connect.WithCodec(jsonCodec{"json"}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
		connect.WithCodec(binaryCodec{}),
	}
}

// compressMinBytes is the smallest answer that is compressed for a client that
// takes gzip: more than an Ethernet packet holds.
const compressMinBytes = 1500

// Error says why a message was refused.
type Error struct {
	// Path is that of the field, such as "subject.email"; empty when the message
	// itself is at fault.
	Path string
	// Reason is one sentence without anything of what was sent.
	Reason string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return "the body: " + e.Reason
	}
	return e.Path + ": " + e.Reason
}

type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }

// Marshal compacts, because protojson varies blanks on purpose.
func (c jsonCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a protobuf message", message)
	}
	data, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return compact(data), nil
}

// compact takes the blanks out that stand between the values of valid JSON, in place:
// what [json.Compact] does, which does not know that the JSON is valid and takes as long
// as protojson for it.
func compact(data []byte) []byte {
	out := data[:0]
	for len(data) > 0 {
		n := 1
		if data[0] == '"' {
			for ; data[n] != '"'; n++ {
				if data[n] == '\\' {
					n++
				}
			}
			n++
		} else if data[0] == ' ' {
			data = data[1:]
			continue
		}
		out = append(out, data[:n]...)
		data = data[n:]
	}
	return out
}

func (c jsonCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", message)
	}
	if len(data) == 0 {
		return &Error{"", "is empty; the smallest request is {}"}
	}
	if err := refuseDense(jsonValues(data), len(data)); err != nil {
		return err
	}
	if protojson.Unmarshal(data, m) != nil {
		// protojson's own words quote what was sent.
		return explain(data, m)
	}
	return nil
}

type binaryCodec struct{}

func (binaryCodec) Name() string { return "proto" }

func (binaryCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a protobuf message", message)
	}
	return proto.Marshal(m)
}

func (binaryCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", message)
	}
	if err := refuseDense(binaryValues(data, m.ProtoReflect().Descriptor()), len(data)); err != nil {
		return err
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return &Error{"", fmt.Sprintf("is not a valid %s (wire format, or text that is not UTF-8)", m.ProtoReflect().Descriptor().FullName())}
	}
	if e := refuseUnknown("", m.ProtoReflect()); e != nil {
		return e
	}
	return nil
}
