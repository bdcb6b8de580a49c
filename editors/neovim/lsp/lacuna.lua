-- The language server, for `vim.lsp.enable('lacuna')`.
return {
  cmd = { 'lacuna', 'lsp' },
  filetypes = { 'rust', 'python' },
  root_markers = { 'lacuna.toml', '.git', 'Cargo.toml', 'pyproject.toml' },
  reuse_client = function(client, config) -- one for all folders: a second server is a second copy of the model
    local is_ours = client.name == config.name and not client:is_stopped()
    if is_ours then require('lacuna').add_folder(client, config.root_dir) end
    return is_ours
  end,
  handlers = {
    ['window/showMessage'] = function(_, it) vim.notify(it.message, 5 - it.type) end, -- 0.11 itself asks for a key
    ['lacuna/status'] = function(_, status) require('lacuna').on_status(status) end,
    ['lacuna/frame'] = function(_, frame, context) require('lacuna.frames').draw(frame, context.client_id) end,
  },
  on_exit = vim.schedule_wrap(function() vim.g.lacuna_status = nil end),
}
