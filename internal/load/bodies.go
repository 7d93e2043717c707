package main

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Values that the examples of messages are made with, which stand nowhere else in them.
const (
	somebody  = int64(7_777_777_777_777_777)
	someToken = "TOKEN"
)

// bodies gives how messages about a person, a consent or a token are encoded. JSON is
// filled into the example, because protojson costs as much as the rest of a call: all are
// like the example but for the value.
func bodies[T int64 | string](wire string, example T, message func(T) proto.Message) func(T) ([]byte, error) {
	if wire != "json" {
		return func(value T) ([]byte, error) { return proto.Marshal(message(value)) }
	}
	text, err := protojson.Marshal(message(example))
	parts := bytes.Split(text, fmt.Append(nil, example))
	return func(value T) ([]byte, error) { return bytes.Join(parts, fmt.Append(nil, value)), err }
}

// batch encodes a message that is a list, which is its first field, of what is encoded.
func batch(wire, name string, list [][]byte) []byte {
	if wire == "json" {
		return slices.Concat([]byte(`{"`+name+`":[`), bytes.Join(list, []byte(",")), []byte("]}"))
	}
	var b []byte
	for _, one := range list {
		b = protowire.AppendBytes(protowire.AppendTag(b, 1, protowire.BytesType), one)
	}
	return b
}
