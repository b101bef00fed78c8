// Sends one small profile to the server in every way that OTLP has: gRPC to both ports, protobuf over HTTP with and
// without gzip, JSON over HTTP. Built once for each released revision of the generated types (see revisions/); each
// way has a service of its own, compat.otlp.<revision>.<way>. The samples stand in samples*.go, as revisions name them
// differently.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

const (
	periodNanos = 10_000_000
	// What the two stacks have as values: main;work and main;idle, in periods.
	workCount = 30
	idleCount = 5
)

// Indices into the string table of dictionary().
const (
	_ = iota
	samplesString
	countString
	cpuString
	nanosecondsString
	mainString
	workString
	idleString
	fileString
	phaseString
	stringCount
)

func dictionary() *profiles.ProfilesDictionary {
	strings := make([]string, stringCount)
	for index, text := range map[int]string{
		samplesString: "samples", countString: "count", cpuString: "cpu", nanosecondsString: "nanoseconds",
		mainString: "main", workString: "workForFlamestore", idleString: "idleForFlamestore", fileString: "app",
		phaseString: "phase",
	} {
		strings[index] = text
	}
	function := func(name int32) *profiles.Function { return &profiles.Function{NameStrindex: name} }
	return &profiles.ProfilesDictionary{
		// The first entry of each table is the empty one.
		MappingTable:  []*profiles.Mapping{{}, {FilenameStrindex: fileString}},
		FunctionTable: []*profiles.Function{{}, function(mainString), function(workString), function(idleString)},
		LocationTable: []*profiles.Location{{}, location(1), location(2), location(3)},
		LinkTable:     []*profiles.Link{{}},
		StringTable:   strings,
		AttributeTable: []*profiles.KeyValueAndUnit{{}, {
			KeyStrindex: phaseString,
			Value:       text("spin"),
		}},
		StackTable: []*profiles.Stack{
			{},
			{LocationIndices: []int32{2, 1}},
			{LocationIndices: []int32{3, 1}},
		},
	}
}

func text(value string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}
}

func export(service string) *collector.ExportProfilesServiceRequest {
	profile := &profiles.Profile{
		SampleType:   &profiles.ValueType{TypeStrindex: samplesString, UnitStrindex: countString},
		PeriodType:   &profiles.ValueType{TypeStrindex: cpuString, UnitStrindex: nanosecondsString},
		Period:       periodNanos,
		TimeUnixNano: uint64(time.Now().UnixNano()),
		DurationNano: uint64(time.Second),
		ProfileId:    []byte("0123456789abcdef"),
	}
	fill(profile)
	return &collector.ExportProfilesServiceRequest{
		Dictionary: dictionary(),
		ResourceProfiles: []*profiles.ResourceProfiles{{
			Resource: &resource.Resource{Attributes: []*common.KeyValue{
				{Key: "service.name", Value: text(service)},
				{Key: "region", Value: text("eu")},
			}},
			ScopeProfiles: []*profiles.ScopeProfiles{{
				Scope:    &common.InstrumentationScope{Name: "flamestore.test", Version: "1"},
				Profiles: []*profiles.Profile{profile},
			}},
		}},
	}
}

func overGRPC(address string, request *collector.ExportProfilesServiceRequest, options ...grpc.CallOption) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	answer, err := collector.NewProfilesServiceClient(connection).Export(ctx, request, options...)
	must(err)
	accepted(answer)
}

func overHTTP(address, contentType, encoding string, body []byte) {
	request, err := http.NewRequest(http.MethodPost, "http://"+address+"/v1development/profiles", bytes.NewReader(body))
	must(err)
	request.Header.Set("Content-Type", contentType)
	if encoding != "" {
		request.Header.Set("Content-Encoding", encoding)
	}
	response, err := (&http.Client{Timeout: 20 * time.Second}).Do(request)
	must(err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	must(err)
	if response.StatusCode != http.StatusOK {
		must(fmt.Errorf("%s: %s: %s", contentType, response.Status, raw))
	}
	answer := &collector.ExportProfilesServiceResponse{}
	if response.Header.Get("Content-Type") == "application/json" {
		must(protojson.Unmarshal(raw, answer))
	} else {
		must(proto.Unmarshal(raw, answer))
	}
	accepted(answer)
}

func accepted(answer *collector.ExportProfilesServiceResponse) {
	if rejected := answer.GetPartialSuccess().GetRejectedProfiles(); rejected != 0 {
		must(fmt.Errorf("%d profiles rejected: %s", rejected, answer.GetPartialSuccess().GetErrorMessage()))
	}
}

func zip(body []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, err := writer.Write(body)
	must(err)
	must(writer.Close())
	return out.Bytes()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Arguments: the revision, and the addresses of the HTTP and the gRPC port.
func main() {
	revision, httpAddress, grpcAddress := os.Args[1], os.Args[2], os.Args[3]
	var ways []string
	as := func(way string) *collector.ExportProfilesServiceRequest {
		service := "compat.otlp." + revision + "." + way
		ways = append(ways, service)
		return export(service)
	}
	binary := func(request *collector.ExportProfilesServiceRequest) []byte {
		body, err := proto.Marshal(request)
		must(err)
		return body
	}
	overGRPC(httpAddress, as("grpc-http-port"))
	overGRPC(grpcAddress, as("grpc-port"))
	overGRPC(httpAddress, as("grpc-gzip"), grpc.UseCompressor(grpcgzip.Name))
	overHTTP(httpAddress, "application/x-protobuf", "", binary(as("http-protobuf")))
	overHTTP(httpAddress, "application/x-protobuf", "gzip", zip(binary(as("http-protobuf-gzip"))))
	body, err := protojson.Marshal(as("http-json"))
	must(err)
	overHTTP(httpAddress, "application/json", "", body)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"services": ways,
		"work_ns":  workCount * periodNanos,
		"idle_ns":  idleCount * periodNanos,
	}))
}
