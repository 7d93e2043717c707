package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// explain says why protojson refused data as m, without quoting it: the path of
// the field and what was expected there.
//
// It takes the JSON apart and gives protojson one field at a time until it knows
// which one is refused; so it never disagrees with the decoder about what is
// valid. It runs for refused requests only.
func explain(data []byte, m proto.Message) error {
	if i := invalidUTF8(data); i >= 0 {
		return &Error{"", fmt.Sprintf("is not valid UTF-8 at byte %d", i)}
	}
	if !json.Valid(data) {
		var syntax *json.SyntaxError
		if err := json.Unmarshal(data, new(any)); errors.As(err, &syntax) {
			return &Error{"", fmt.Sprintf("is not valid JSON at byte %d", syntax.Offset)}
		}
		return &Error{"", "is not valid JSON"}
	}
	return explainMessage("", data, m.ProtoReflect())
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// explainMessage looks for the refused field of the object data; m is only asked
// for its type.
func explainMessage(path string, data []byte, m protoreflect.Message) error {
	members, ok := objectMembers(data)
	if !ok {
		return &Error{path, "must be an object"}
	}
	fields := m.Descriptor().Fields()
	seen := make(map[protoreflect.FieldNumber]bool)
	for _, member := range members {
		fd := fields.ByJSONName(member.name)
		if fd == nil {
			fd = fields.ByTextName(member.name)
		}
		if fd == nil {
			return unknownField(path, member.name)
		}
		here := join(path, string(fd.Name()))
		if seen[fd.Number()] {
			return &Error{here, "is given twice"}
		}
		seen[fd.Number()] = true
		if !accepts(m, fd, member.value) {
			return explainField(here, member.value, m, fd)
		}
	}
	return &Error{path, "is not a valid " + string(m.Descriptor().FullName())}
}

// accepts says whether protojson takes value for the one field fd of a message
// of m's type.
func accepts(m protoreflect.Message, fd protoreflect.FieldDescriptor, value []byte) bool {
	one := make([]byte, 0, len(value)+len(fd.TextName())+5)
	one = append(one, `{"`+fd.TextName()+`":`...)
	one = append(append(one, value...), '}')
	return protojson.Unmarshal(one, m.New().Interface()) == nil
}

// explainField explains a field whose value is refused.
func explainField(path string, value []byte, m protoreflect.Message, fd protoreflect.FieldDescriptor) error {
	switch {
	case fd.IsMap():
		members, ok := objectMembers(value)
		if !ok {
			return &Error{path, "must be an object"}
		}
		seen := make(map[string]bool)
		for _, member := range members {
			if seen[member.name] {
				return &Error{path, "has a name that is given twice"}
			}
			seen[member.name] = true
		}
		return &Error{path, "must map names to " + kindName(fd.MapValue())}
	case fd.IsList():
		var elements []json.RawMessage
		if json.Unmarshal(value, &elements) != nil || value[0] != '[' {
			return &Error{path, "must be an array"}
		}
		for i, element := range elements {
			one := append(append([]byte{'['}, element...), ']')
			if !accepts(m, fd, one) {
				return explainValue(fmt.Sprintf("%s[%d]", path, i), element, fd, func() protoreflect.Message {
					return m.NewField(fd).List().NewElement().Message()
				})
			}
		}
		return &Error{path, "is not valid"}
	default:
		return explainValue(path, value, fd, func() protoreflect.Message { return m.NewField(fd).Message() })
	}
}

func explainValue(path string, value []byte, fd protoreflect.FieldDescriptor, message func() protoreflect.Message) error {
	if fd.Message() == nil || fd.Message().ParentFile().Package() == "google.protobuf" {
		return &Error{path, "must be " + kindName(fd)}
	}
	return explainMessage(path, value, message())
}

// kindName says what is expected, in the words of somebody who writes JSON.
func kindName(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return "a string of valid Unicode"
	case protoreflect.BytesKind:
		return "a string in base64"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.Int64Kind:
		return "a whole number of 64 bits, best written as a string"
	case protoreflect.MessageKind:
		switch fd.Message().FullName() {
		case "google.protobuf.Timestamp":
			return `a time in RFC 3339 such as "2026-11-21T22:36:10Z"`
		case "google.protobuf.Duration":
			return `a duration in seconds such as "604800s"`
		}
		return "an object"
	}
	return "a valid " + fd.Kind().String()
}

// fieldName is what may be repeated to the caller of a field that does not
// exist: a name that could stand in a .proto file. Anything else may be a value
// in the wrong place.
var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{0,39}$`)

func unknownField(path, name string) error {
	if !fieldName.MatchString(name) {
		return &Error{path, "has a field that is unknown"}
	}
	return &Error{join(path, name), "is unknown"}
}

type member struct {
	name  string
	value json.RawMessage
}

// objectMembers returns the members of a JSON object in the order written;
// encoding/json's maps would hide a name given twice.
func objectMembers(data []byte) ([]member, bool) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	var members []member
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, false
		}
		name, ok := t.(string)
		if !ok {
			return nil, false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, false
		}
		members = append(members, member{name, value})
	}
	return members, true
}
