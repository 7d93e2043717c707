package codec

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// An empty message takes 2 bytes when it is sent and a hundred times as many when it
// is decoded; a number or a string in a list 1 or 2, and up to sixteen. So a body may
// have freeValues, which is more than any method takes, and beyond them one for each
// bytesPerValue: what means something is longer.
const (
	freeValues    = 16 << 10
	bytesPerValue = 4
	messageValues = 4 // what a message, or an entry of a map, counts; an element of a list counts 1
)

func refuseDense(values, size int) error {
	if most := freeValues + size/bytesPerValue; values > most {
		return &Error{"", fmt.Sprintf("has %d values in %d bytes, at most %d; a message counts %d", values, size, most, messageValues)}
	}
	return nil
}

// binaryValues counts the messages, and the elements of lists and maps in data, which
// is to become an m, without decoding it. What is no valid m is counted up to where it
// is wrong: the decoder refuses it.
func binaryValues(data []byte, m protoreflect.MessageDescriptor) (count int) {
	for len(data) > 0 {
		number, wire, n := protowire.ConsumeTag(data)
		if n < 0 {
			return count
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, wire, data); n < 0 {
			return count
		}
		value := data[:n]
		data = data[n:]
		fd := m.Fields().ByNumber(number)
		switch {
		case fd == nil:
		case fd.Message() != nil:
			count += messageValues
			if inner, n := protowire.ConsumeBytes(value); wire == protowire.BytesType && n >= 0 {
				count += binaryValues(inner, fd.Message())
			}
		case fd.IsList() && fd.Kind() != protoreflect.StringKind && fd.Kind() != protoreflect.BytesKind && wire == protowire.BytesType:
			for _, b := range value { // packed: the last byte of each number is below 0x80
				if b < 0x80 {
					count++
				}
			}
		case fd.IsList():
			count++
		}
	}
	return count
}

// jsonValues counts the objects in data and what commas part in it; what is no valid
// JSON is counted somehow.
func jsonValues(data []byte) (count int) {
	text := false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case !text && c == '{':
			count += messageValues
		case !text && c == ',':
			count++
		}
	}
	return count
}
