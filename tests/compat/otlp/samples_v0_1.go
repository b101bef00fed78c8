//go:build v0_1

package main

import profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"

func fill(profile *profiles.Profile) {
	profile.Sample = []*profiles.Sample{
		{StackIndex: 1, Values: []int64{workCount}, AttributeIndices: []int32{1}},
		{StackIndex: 2, Values: []int64{idleCount}},
	}
}

func location(function int32) *profiles.Location {
	return &profiles.Location{MappingIndex: 1, Line: []*profiles.Line{{FunctionIndex: function, Line: 1}}}
}
