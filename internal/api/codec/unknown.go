package codec

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// refuseUnknown returns a refusal that names the first unknown field of m or of
// a message inside it, by the path of the message and the field's number.
//
// Ranging over a message goes in no fixed order; the path reported is the first
// by field number, so that the same request always gets the same answer.
func refuseUnknown(path string, m protoreflect.Message) *Error {
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		number, _, _ := protowire.ConsumeTag(unknown)
		return &Error{path, fmt.Sprintf("field number %d is unknown", number)}
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		at := join(path, string(fd.Name()))
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() == nil {
				continue
			}
			if err := refuseUnknownInMap(at, m.Get(fd).Map()); err != nil {
				return err
			}
		case fd.Message() == nil:
		case fd.IsList():
			list := m.Get(fd).List()
			for j := range list.Len() {
				if err := refuseUnknown(fmt.Sprintf("%s[%d]", at, j), list.Get(j).Message()); err != nil {
					return err
				}
			}
		default:
			if err := refuseUnknown(at, m.Get(fd).Message()); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuseUnknownInMap leaves the key out of the path: the caller chose it.
func refuseUnknownInMap(at string, m protoreflect.Map) *Error {
	var found []*Error
	m.Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
		if err := refuseUnknown(at+"[…]", v.Message()); err != nil {
			found = append(found, err)
		}
		return true
	})
	if len(found) == 0 {
		return nil
	}
	return slices.MinFunc(found, func(a, b *Error) int { return strings.Compare(a.Error(), b.Error()) })
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
