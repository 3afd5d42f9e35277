init = function(arguments)
    local requests = {}
    for request = 1, 16 do requests[request] = wrk.format() end
    pipeline = table.concat(requests)
end
request = function() return pipeline end
