-- What must hold in a real Neovim, by name. What the model writes is its own affair: the cases hold what is shown
-- against what is accepted, what is asked against what is counted.
local cases = {}
for _, name in ipairs({ 'ghost_text', 'actions', 'sync', 'life', 'plugin', 'plugin_ghost' }) do
  cases = vim.tbl_extend('error', cases, require('cases.' .. name))
end

return cases
