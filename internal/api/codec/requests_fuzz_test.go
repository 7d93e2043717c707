package codec

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/consentledger/consentledger/proto/consent/admin/v1"
	_ "github.com/consentledger/consentledger/proto/consent/app/v1"
	_ "github.com/consentledger/consentledger/proto/consent/audit/v1"
	_ "github.com/consentledger/consentledger/proto/consent/evidence/v1"
)

// requests gives the request of every method of the API, by the names of the methods.
func requests(f *testing.F) (list []protoreflect.MessageType) {
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if !strings.HasPrefix(string(file.Package()), "consent.") {
					continue
				}
				m, err := protoregistry.GlobalTypes.FindMessageByName(methods.Get(j).Input().FullName())
				if err != nil {
					f.Fatal(err)
				}
				list = append(list, m)
			}
		}
		return true
	})
	if len(list) < 60 {
		f.Fatalf("only %d methods", len(list))
	}
	return list
}

// example fills every field, three messages deep.
func example(m protoreflect.Message, depth int) {
	scalar := func(fd protoreflect.FieldDescriptor) protoreflect.Value {
		switch fd.Kind() {
		case protoreflect.StringKind:
			return protoreflect.ValueOfString("Canary7Q")
		case protoreflect.BytesKind:
			return protoreflect.ValueOfBytes([]byte("Canary7Q"))
		case protoreflect.BoolKind:
			return protoreflect.ValueOfBool(true)
		case protoreflect.Int64Kind:
			return protoreflect.ValueOfInt64(7 << 30)
		case protoreflect.Int32Kind:
			return protoreflect.ValueOfInt32(7)
		case protoreflect.Uint32Kind:
			return protoreflect.ValueOfUint32(7)
		case protoreflect.EnumKind:
			return protoreflect.ValueOfEnum(1)
		}
		return fd.Default()
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() == nil {
				m.Mutable(fd).Map().Set(protoreflect.ValueOfString("ip").MapKey(), scalar(fd.MapValue()))
			}
		case fd.Message() != nil && depth == 0:
		case fd.Message() != nil && fd.IsList():
			l := m.Mutable(fd).List()
			e := l.NewElement()
			example(e.Message(), depth-1)
			l.Append(e)
		case fd.Message() != nil:
			example(m.Mutable(fd).Message(), depth-1)
		case fd.IsList():
			m.Mutable(fd).List().Append(scalar(fd))
		default:
			m.Set(fd, scalar(fd))
		}
	}
}

// FuzzRequests: whatever is sent for whatever method, in JSON or in binary, is decoded
// to a message that both encode and decode to itself, or it is refused in few words
// that have nothing of it; and it takes no more memory than is in proportion.
func FuzzRequests(f *testing.F) {
	list := requests(f)
	text, binary := jsonCodec{"json"}, binaryCodec{}
	for n, m := range list {
		message := m.New()
		example(message, 3)
		a, err := text.Marshal(message.Interface())
		if err != nil {
			f.Fatal(err)
		}
		b, err := binary.Marshal(message.Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(n, a, false)
		f.Add(n, b, true)
		f.Add(n, bytes.Replace(a, []byte(":"), []byte(`:"Canary7Q",`), 1), false)
		f.Add(n, bytes.Replace(a, []byte(`{"`), []byte(`{"Canary7Q":1,"`), 1), false)
	}
	for _, s := range []string{`{"a":1,"a":2}`, `[`, `{"subject":{"email":"\ud800"}}`, "{\"subject\":{\"email\":\"\xff\"}}", `{"occurred_at":"2026-11-21T22:36:10.1234567890Z"}`, `{"claims":{"ip":"Canary7Q","ip":""}}`,
		strings.Repeat("[", 20_000), `{"consent_ids":["9223372036854775808"]}`, `{"consent_ids":[1e3]}`, "\ufeff{}", `{} {}`, `null`} {
		for n := range list {
			if n%7 == 0 {
				f.Add(n, []byte(s), false)
			}
		}
	}
	f.Fuzz(func(t *testing.T, n int, data []byte, isBinary bool) {
		m := list[uint(n)%uint(len(list))]
		var c interface{ Unmarshal([]byte, any) error } = text
		if isBinary {
			c = binary
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := m.New().Interface()
		err := c.Unmarshal(data, got)
		runtime.ReadMemStats(&after)
		// What a value takes beside its bytes, freeValues times over.
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20+200*uint64(len(data)) {
			t.Errorf("%d bytes took %d", len(data), grown)
		}
		if err != nil {
			if e := err.Error(); e == "" || len(e) > 400 || strings.Contains(e, "Canary7Q") {
				t.Errorf("%s answers %q", m.Descriptor().FullName(), e)
			}
			return
		}
		for name, c := range map[string]interface {
			Marshal(any) ([]byte, error)
			Unmarshal([]byte, any) error
		}{"JSON": text, "binary": binary} {
			encoded, err := c.Marshal(got)
			if err != nil && isBinary && name == "JSON" {
				continue // a time in binary may be one that JSON cannot say; the methods refuse it
			}
			if err != nil {
				t.Fatalf("%s: accepted, and not to be written as %s: %v", m.Descriptor().FullName(), name, err)
			}
			again := m.New().Interface()
			if err := c.Unmarshal(encoded, again); err != nil && !(name == "JSON" && len(encoded) > 4*len(data)) {
				t.Errorf("%s as %s: %v", m.Descriptor().FullName(), name, err)
			} else if err == nil && !proto.Equal(again, got) {
				t.Errorf("%s has changed as %s: %s", m.Descriptor().FullName(), name, encoded)
			}
		}
		// Whoever else reads the JSON reads the same: one value for each name.
		if !isBinary && !json.Valid(data) {
			t.Errorf("%s accepts %q, which is no JSON", m.Descriptor().FullName(), data)
		}
	})
}
