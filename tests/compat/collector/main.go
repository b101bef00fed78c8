// Sends one small profile as the OpenTelemetry Collector writes it over HTTP: attributes of the resource point into the
// tables, and JSON has identifiers in hexadecimal. Each form has a service of its own, compat.collector.<form>.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
)

const (
	periodNanos = 10_000_000
	samples     = 30
)

var (
	traceID = pcommon.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	spanID  = pcommon.SpanID{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8}
)

func profiles(service string) pprofile.Profiles {
	all := pprofile.NewProfiles()
	tables := all.Dictionary()
	index := make(map[string]int32)
	for at, text := range []string{"", "samples", "count", "cpu", "nanoseconds", "main", "workForFlamestore"} {
		tables.StringTable().Append(text)
		index[text] = int32(at)
	}
	// The first entry of each table is the empty one.
	tables.MappingTable().AppendEmpty()
	tables.FunctionTable().AppendEmpty()
	tables.LocationTable().AppendEmpty()
	for function, name := range []string{"main", "workForFlamestore"} {
		tables.FunctionTable().AppendEmpty().SetNameStrindex(index[name])
		tables.LocationTable().AppendEmpty().Lines().AppendEmpty().SetFunctionIndex(int32(function + 1))
	}
	tables.LinkTable().AppendEmpty()
	link := tables.LinkTable().AppendEmpty()
	link.SetTraceID(traceID)
	link.SetSpanID(spanID)
	tables.AttributeTable().AppendEmpty()
	tables.StackTable().AppendEmpty()
	tables.StackTable().AppendEmpty().LocationIndices().FromRaw([]int32{2, 1})

	resource := all.ResourceProfiles().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", service)
	resource.Resource().Attributes().PutStr("region", "eu")
	profile := resource.ScopeProfiles().AppendEmpty().Profiles().AppendEmpty()
	profile.SampleType().SetTypeStrindex(index["samples"])
	profile.SampleType().SetUnitStrindex(index["count"])
	profile.PeriodType().SetTypeStrindex(index["cpu"])
	profile.PeriodType().SetUnitStrindex(index["nanoseconds"])
	profile.SetPeriod(periodNanos)
	profile.SetProfileID(pprofile.ProfileID(traceID))
	profile.SetTime(pcommon.NewTimestampFromTime(time.Now()))
	sample := profile.Samples().AppendEmpty()
	sample.SetStackIndex(1)
	sample.SetLinkIndex(1)
	sample.Values().FromRaw([]int64{samples})
	return all
}

func send(address, contentType string, body []byte) {
	client := http.Client{Timeout: 20 * time.Second}
	response, err := client.Post("http://"+address+"/v1development/profiles", contentType, bytes.NewReader(body))
	must(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	must(err)
	if response.StatusCode != http.StatusOK {
		must(fmt.Errorf("%s: %s: %s", contentType, response.Status, answer))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	address := os.Args[1]
	body, err := pprofileotlp.NewExportRequestFromProfiles(profiles("compat.collector.protobuf")).MarshalProto()
	must(err)
	send(address, "application/x-protobuf", body)
	body, err = pprofileotlp.NewExportRequestFromProfiles(profiles("compat.collector.json")).MarshalJSON()
	must(err)
	send(address, "application/json", body)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"work_ns":  samples * periodNanos,
		"services": []string{"compat.collector.protobuf", "compat.collector.json"},
		"span":     spanID.String(),
		"trace":    traceID.String(),
	}))
}
