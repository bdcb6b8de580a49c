-- Runs one case: nvim --clean -l run.lua CASE.
local here = vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))
package.path = here .. '/?.lua;' .. package.path
local case = assert(require('cases')[arg[1]], 'no such case: ' .. tostring(arg[1]))
local passed, reason = xpcall(case, debug.traceback)
if not passed then
  io.stderr:write(reason, '\n')
end
os.exit(passed and 0 or 1)
